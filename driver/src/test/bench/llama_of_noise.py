"""A Llama of the shapes of a 1B model with seeded random weights, written shard by shard."""
import json, os, sys
import torch
from safetensors.torch import save_file
out, layers = sys.argv[1], int(sys.argv[2])
H, I, KV, V = 2048, 8192, 512, 32000
os.makedirs(out, exist_ok=True)
torch.manual_seed(1)
json.dump(dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=H, intermediate_size=I, num_hidden_layers=layers,
  num_attention_heads=32, num_key_value_heads=8, head_dim=64, vocab_size=V, max_position_embeddings=4096, rms_norm_eps=1e-5,
  rope_theta=500000.0, tie_word_embeddings=False, hidden_act="silu", torch_dtype="bfloat16", bos_token_id=1, eos_token_id=2), open(out + "/config.json", "w"))
index, shard, size, no = {}, {}, 0, 0
files = []
def flush():
    global shard, size, no
    if shard:
        no += 1
        f = f"part-{no}.safetensors"
        save_file(shard, f"{out}/{f}", metadata={"format": "pt"})
        files.append((f, list(shard)))
        shard, size = {}, 0
def add(n, *s):
    global size
    t = torch.ones(s, dtype=torch.bfloat16) if len(s) == 1 else (torch.randn(s) * 0.02).to(torch.bfloat16)
    shard[n] = t; size += t.numel() * 2
    if size > 1.2e9: flush()
add("model.embed_tokens.weight", V, H)
for l in range(layers):
    p = f"model.layers.{l}."
    add(p + "self_attn.q_proj.weight", H, H); add(p + "self_attn.k_proj.weight", KV, H); add(p + "self_attn.v_proj.weight", KV, H); add(p + "self_attn.o_proj.weight", H, H)
    add(p + "mlp.gate_proj.weight", I, H); add(p + "mlp.up_proj.weight", I, H); add(p + "mlp.down_proj.weight", H, I)
    add(p + "input_layernorm.weight", H); add(p + "post_attention_layernorm.weight", H)
add("model.norm.weight", H); add("lm_head.weight", V, H)
flush()
total = 0
for i, (f, names) in enumerate(files):
    g = f"model-{i+1:05d}-of-{len(files):05d}.safetensors" if len(files) > 1 else "model.safetensors"
    os.rename(f"{out}/{f}", f"{out}/{g}")
    for n in names: index[n] = g
if len(files) > 1:
    json.dump(dict(metadata=dict(total_size=sum(os.path.getsize(f"{out}/{f}") for f in os.listdir(out) if f.endswith(".safetensors"))), weight_map=index), open(out + "/model.safetensors.index.json", "w"))
