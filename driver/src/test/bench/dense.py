"""Dense float32 copies of quantized checkpoints, made by none of their tools: dense.py DEQUANTIZE MODEL <LINES, each CHECKPOINT OUT.

DEQUANTIZE is shared/interop/dequantize.py; GGUF is read by the package gguf. A checkpoint that is dense already becomes a link.
"""
import glob
import importlib.util
import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

spec = importlib.util.spec_from_file_location("dequantize", sys.argv[1])
formats = importlib.util.module_from_spec(spec)
spec.loader.exec_module(formats)
model = sys.argv[2]


def quanto(tensors, prefix, config):
    """What ours says of itself in config.json leaves out what the library takes from elsewhere."""
    with open(checkpoint + "/quanto_qmap.json") as f:
        qmap = json.load(f)
    with open(checkpoint + "/config.json") as f:
        return of_quanto(tensors, prefix, {"qmap": qmap, "config": json.load(f)})


of_quanto = formats.READ["quanto"]
formats.READ["quanto"] = quanto

for line in sys.stdin:
    checkpoint, out = line.split()
    if os.path.exists(out):
        continue
    if glob.glob(checkpoint + "/*.gguf"):
        file = os.path.basename(glob.glob(checkpoint + "/*.gguf")[0])
        read = AutoModelForCausalLM.from_pretrained(checkpoint, gguf_file=file, dtype=torch.float32).state_dict()
        dense = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model), dtype=torch.float32)
        dense.load_state_dict(read)
        dense.save_pretrained(out)
        continue
    with open(checkpoint + "/config.json") as f:
        dense = "quantization_config" not in json.load(f)
    if dense and not any(k.endswith(".W_q") for k in formats.read(checkpoint)[0]):
        os.symlink(checkpoint, out)
        continue
    state, config, names = formats.dequantize(checkpoint)
    assert names, checkpoint
    config["dtype"] = "float32"
    config.pop("torch_dtype", None)
    os.makedirs(out)
    if config.get("tie_word_embeddings"):
        state.pop("lm_head.weight", None)
    save_file(state, out + "/model.safetensors", {"format": "pt"})
    with open(out + "/config.json", "w") as f:
        json.dump(config, f)
