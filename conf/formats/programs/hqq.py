import glob
import torch
from hqq.core.quantize import HQQLinear
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

path = "{path}"
config = AutoConfig.from_pretrained(path)
del config.quantization_config
model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
state = {k: v for file in glob.glob(path + "/*.safetensors") for k, v in load_file(file).items()}
for name in [k[:-4] for k in state if k.endswith(".W_q")]:
    linear = HQQLinear(None, None, compute_dtype=config.dtype, device="cpu", initialize=False)
    linear.load_state_dict({k[len(name) + 1:]: state.pop(k) for k in list(state) if k.startswith(name + ".")})
    parent, child = name.rsplit(".", 1)
    setattr(model.get_submodule(parent), child, linear)
model.load_state_dict(state, strict=False)
model.tie_weights()
tokenizer = AutoTokenizer.from_pretrained(path)
inputs = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
