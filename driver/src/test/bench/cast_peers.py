"""Quantizes a model without calibration by a format's own tool on the CPU, and writes it: cast_peers.py TOOL MODEL OUT."""
import os
import sys
import time

import torch

tool, model, out = sys.argv[1:]
torch.set_num_threads(os.cpu_count())

if tool.startswith("bnb-"):
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    begin = time.time()
    config = BitsAndBytesConfig(load_in_8bit=True) if tool == "bnb-int8" else BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=tool[4:], bnb_4bit_compute_dtype=torch.bfloat16)
    loaded = AutoModelForCausalLM.from_pretrained(model, quantization_config=config, dtype=torch.bfloat16, device_map="cpu")
    loaded.save_pretrained(out)
elif tool.startswith("torchao-"):
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig
    from transformers import AutoModelForCausalLM, TorchAoConfig

    begin = time.time()
    config = TorchAoConfig({"torchao-int8": Int8WeightOnlyConfig, "torchao-fp8": Float8WeightOnlyConfig}[tool]())
    loaded = AutoModelForCausalLM.from_pretrained(model, quantization_config=config, dtype=torch.bfloat16, device_map="cpu")
    loaded.save_pretrained(out)
elif tool.startswith("quanto-"):
    from optimum.quanto import freeze, qfloat8, qint2, qint4, qint8, quantize
    from safetensors.torch import save_model
    from transformers import AutoModelForCausalLM

    begin = time.time()
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    quantize(loaded.model.layers, weights={"int8": qint8, "int4": qint4, "int2": qint2, "fp8": qfloat8}[tool[7:]])
    freeze(loaded.model.layers)
    os.makedirs(out)
    save_model(loaded, os.path.join(out, "model.safetensors"))
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
    preset = {"llmc-fp8": "FP8_DYNAMIC", "llmc-fp8-block": "FP8_BLOCK", "llmc-w4a16": "W4A16", "llmc-nvfp4": "NVFP4A16",
              "llmc-mxfp4": "MXFP4A16"}.get(tool)
    scheme = {"targets": "Linear", "scheme": preset} if preset else {"config_groups": {"group_0": {"targets": ["Linear"], "weights": {
        "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}}}}
    oneshot(model=loaded, recipe=QuantizationModifier(ignore=["lm_head"], **scheme))
    loaded.save_pretrained(out, save_compressed=True)
print(f"quantize and write {time.time() - begin:.1f}")
