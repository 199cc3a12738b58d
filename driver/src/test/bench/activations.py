"""Perplexity and KL of dense checkpoints with the inputs of their layers' linears rounded to 8 bits.

activations.py MODEL TEXT CHARACTERS WINDOW CHECKPOINT...

A token's inputs x become scale * clamp(round(x / scale), -128, 127) with scale = max |x| / 127.5, compressed-tensors' dynamic quantization.
MODEL itself is judged with full inputs, against which KL is, and with rounded ones.
"""
import json
import math
import os
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

model, text, chars, window, *checkpoints = sys.argv[1:]
window = int(window)
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.set_grad_enabled(False)


def rounded(_, inputs):
    x = inputs[0]
    scale = (x.abs().amax(-1, keepdim=True) / 127.5).clamp_min(torch.finfo(torch.float32).tiny)
    return ((x / scale).round().clamp(-128, 127) * scale,)


def load(directory, round_inputs):
    loaded = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    for module in loaded.model.layers.modules():
        if round_inputs and isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(rounded)
    return loaded


full = load(model, False)
models = {"full precision, inputs rounded": load(model, True)}
models |= {"/".join(Path(c).parts[-2:]): load(c, True) for c in checkpoints}
weights_alone = {"/".join(Path(c).parts[-2:]): load(c, False) for c in checkpoints}
with open(text, encoding="utf-8") as f:
    ids = Tokenizer.from_file(model + "/tokenizer.json").encode(f.read(int(chars)), add_special_tokens=False).ids
windows = [ids[i:i + window] for i in range(0, len(ids) - window + 1, window)]
sums = {}
tokens = 0


def add(key, ids, of, reference):
    logs = of(ids, use_cache=False).logits[0, :-1].log_softmax(-1)
    reference = logs if reference is None else reference
    nll, kl = sums.get(key, (0.0, 0.0))
    sums[key] = (nll - logs.gather(1, ids[0, 1:, None]).double().sum().item(),
                 kl + (reference.exp() * (reference - logs)).sum(-1).double().sum().item())
    return logs


for each in windows:
    ids = torch.tensor([each])
    tokens += window - 1
    reference = add("full precision", ids, full, None)
    for key, of in models.items():
        add(key, ids, of, reference)
    for key, of in weights_alone.items():
        add(key + ", inputs not rounded", ids, of, reference)
for key, (nll, kl) in sums.items():
    print("PPL " + json.dumps({"checkpoint": key, "ppl": round(math.exp(nll / tokens), 4), "kl": round(kl / tokens, 6), "tokens": tokens}))
