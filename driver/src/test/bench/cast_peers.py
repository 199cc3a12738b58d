"""Quantizes a model without calibration by a format's own tool on the CPU, and writes it: cast_peers.py TOOL MODEL OUT."""
import os
import sys
import time

import torch

tool, model, out = sys.argv[1:]
torch.set_num_threads(os.cpu_count())

if tool == "bnb-nf4":
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    begin = time.time()
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    loaded = AutoModelForCausalLM.from_pretrained(model, quantization_config=config, dtype=torch.bfloat16, device_map="cpu")
    loaded.save_pretrained(out)
elif tool == "hqq":
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    begin = time.time()
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    config = BaseQuantizeConfig(nbits=4, group_size=64, axis=1)
    tensors = {}
    for name, module in loaded.model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            quantized = HQQLinear(module, config, compute_dtype=torch.bfloat16, device="cpu", del_orig=False)
            tensors.update({f"{name}.{k}": v for k, v in quantized.state_dict().items() if isinstance(v, torch.Tensor)})
    os.makedirs(out)
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(out, "layers.safetensors"))
else:
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import AutoModelForCausalLM

    begin = time.time()
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    scheme = {"llmc-fp8": "FP8_DYNAMIC", "llmc-w4a16": "W4A16"}[tool]
    oneshot(model=loaded, recipe=QuantizationModifier(targets="Linear", scheme=scheme, ignore=["lm_head"]))
    loaded.save_pretrained(out, save_compressed=True)
print(f"quantize and write {time.time() - begin:.1f}")
