"""Compares scales of activations with the largest values that transformers meets on the same tokens.

    fixed_scales.py CHECKPOINT SOURCE TEXT LENGTH WINDOWS

CHECKPOINT was calibrated on the first windows of TEXT, one line. Prints, as one line of JSON, how many scales there are and by which
share of it the worst of each kind is off.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
import transformers.models.llama.modeling_llama as llama
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def largest_values(source, text, length, windows):
    tokenizer = AutoTokenizer.from_pretrained(source)
    with open(text) as file:
        ids = tokenizer(file.read(), add_special_tokens=False).input_ids[:length * windows]
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")
    largest = {}

    def note(name, values):
        largest[name] = max(largest.get(name, 0.0), values.abs().max().item())

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.register_forward_pre_hook(lambda _, inputs, name=name: note(name + ".input_scale", inputs[0]))
    attend = llama.eager_attention_forward

    def attention(module, query, key, value, *others, **options):
        name = f"model.layers.{module.layer_idx}.self_attn"
        note(name + ".k_scale", key)
        note(name + ".v_scale", value)
        return attend(module, query, key, value, *others, **options)

    llama.eager_attention_forward = attention
    with torch.inference_mode():
        model(torch.tensor(ids).view(windows, length))
    return largest


def main(checkpoint, source, text, length, windows):
    largest = largest_values(source, text, int(length), int(windows))
    stored = load_file(os.path.join(checkpoint, "model.safetensors"))
    scales = {name for name in stored if name.endswith(("input_scale", "k_scale", "v_scale"))}
    worst = {}
    for name in scales & largest.keys():
        kind = name.rsplit(".", 1)[1]
        worst[kind] = max(worst.get(kind, 0), abs(stored[name].item() * 448 / largest[name] - 1))
    print(json.dumps({"scales": len(scales), "others": sorted(scales ^ largest.keys()), "worst": worst}))


if __name__ == "__main__":
    main(*sys.argv[1:])
