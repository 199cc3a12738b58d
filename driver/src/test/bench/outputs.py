"""Squared error of what linears put out, on text that no tool calibrated on:
outputs.py DEQUANTIZE MODEL TEXT CHARS CHECKPOINT... [-- CHECKPOINT...]

For each checkpoint the mean over all linears of |x (W - Q)T|^2 over that of the first, or the first after the last --, with x from the model in full
precision. KL of one run hangs on luck by some percent; this does not, and so tells tools apart that do nearly the same.
DEQUANTIZE is shared/interop/dequantize.py, which is part of none of the tools.
"""
import importlib.util
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW = 512

spec = importlib.util.spec_from_file_location("dequantize", sys.argv[1])
formats = importlib.util.module_from_spec(spec)
spec.loader.exec_module(formats)
path, text, chars = sys.argv[2], sys.argv[3], int(sys.argv[4])

model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
linears = {name: module for name, module in model.model.named_modules() if isinstance(module, torch.nn.Linear)}
products = {}  # of the inputs of linears, inputs x inputs; those that share an input share one
seen = {}


def tap(name):
    def hook(module, inputs, output):
        x = inputs[0]
        if seen.get("input") is not x:
            seen.update(input=x, owner=name)
            rows = x.reshape(-1, x.shape[-1])
            products[name] = products.get(name, 0) + rows.T @ rows
        owner[name] = seen["owner"]

    return hook


owner = {}
for name, linear in linears.items():
    linear.register_forward_hook(tap(name))
ids = AutoTokenizer.from_pretrained(path)(open(text).read()[:chars], add_special_tokens=False).input_ids
with torch.no_grad():
    for at in range(0, len(ids) - WINDOW + 1, WINDOW):
        model.model(torch.tensor([ids[at : at + WINDOW]]))


def errors(checkpoint):
    tensors = formats.dequantize(checkpoint)[0]
    result = {}
    for name, linear in linears.items():
        error = tensors[f"model.{name}.weight"].float() - linear.weight.detach()
        result[name] = float(((error @ products[owner[name]]) * error).sum())
    return result


first = None
for checkpoint in sys.argv[5:]:
    if checkpoint == "--":
        first = None
        continue
    now = errors(checkpoint)
    first = first or now
    ratios = [now[name] / first[name] for name in linears]
    print(f"{sum(ratios) / len(ratios):.4f} {checkpoint}", flush=True)
