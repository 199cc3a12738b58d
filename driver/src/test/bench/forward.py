"""PyTorch's side of forward.sh.

forward.py make FOLDER                              a Llama of one layer, hidden 2048, random weights in bf16
forward.py time FOLDER THREADS SEQUENCES LENGTH     seconds of its layer over a batch of sequences, one round a line
"""
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

ROUNDS = 7


def make(folder):
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=2048, intermediate_size=5632, num_attention_heads=32, num_key_value_heads=4, num_hidden_layers=1,
        vocab_size=512, max_position_embeddings=4096, tie_word_embeddings=True)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


@torch.inference_mode()
def clock(folder, threads, sequences, length):
    torch.set_num_threads(int(threads))
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa").model
    x = torch.randn(int(sequences), int(length), 2048, dtype=torch.bfloat16)
    positions = torch.arange(int(length))[None]
    turned = model.rotary_emb(x, positions)
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.layers[0](x, attention_mask=None, position_ids=positions, position_embeddings=turned)
        print(f"{time.perf_counter() - start:.4f}", flush=True)


{"make": make, "time": clock}[sys.argv[1]](*sys.argv[2:])
