"""Trains quern-stories-moe: a small Mixtral on children's stories, on one thread of a CPU.

    python train.py TEXT TOKENIZER OUT STEPS

TEXT is a folder with tinystories.train-sample.txt and tinystories.valid-sample.txt, TOKENIZER a folder with tokenizer.json (that of
quern-stories-4m, the demo), OUT becomes the model; where it holds one already, training goes on from its step. The last 263 documents of the valid sample are never trained on.

The load-balancing loss is nearly off, so that experts are used unevenly: some see few tokens of any calibration text.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import MixtralConfig, MixtralForCausalLM, PreTrainedTokenizerFast

SEED, BATCH, LENGTH, VOCABULARY, END = 11, 32, 256, 2048, 1
PEAK, WARMUP, DROPOUT, DECAY = 2e-3, 60, 0.1, 0.2

CONFIG = MixtralConfig(
    vocab_size=VOCABULARY, hidden_size=128, intermediate_size=256, num_hidden_layers=4,
    num_attention_heads=4, num_key_value_heads=2, head_dim=32, max_position_embeddings=512,
    num_local_experts=8, num_experts_per_tok=2, router_aux_loss_coef=1e-3, output_router_logits=False,
    rms_norm_eps=1e-5, sliding_window=None, tie_word_embeddings=True, bos_token_id=0, eos_token_id=END,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
)


def documents(file):
    return [d.strip() for d in file.read_text().split("<|endoftext|>") if d.strip()]


def tokens(tokenizer, texts):
    return [e.ids for e in tokenizer.encode_batch(texts)]


@torch.no_grad()
def evaluate(model, stories):
    """Mean negative log likelihood of a token (bos not scored), and the tokens that each expert of each layer was sent."""
    model.eval()
    loss, count, sent = 0.0, 0, torch.zeros(CONFIG.num_hidden_layers, CONFIG.num_local_experts)
    for story in stories:
        x = torch.tensor([story[:LENGTH]])
        out = model(x, output_router_logits=True)
        loss += F.cross_entropy(out.logits[0, :-1].float(), x[0, 1:], reduction="sum").item()
        count += x.shape[1] - 1
        for layer, logits in enumerate(out.router_logits):
            sent[layer] += torch.bincount(logits.topk(2).indices.flatten(), minlength=CONFIG.num_local_experts)
    model.train()
    return loss / count, sent / sent.sum(1, keepdim=True)


def main(text, tokenizer_folder, out, steps):
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    train, valid = documents(text / "tinystories.train-sample.txt"), documents(text / "tinystories.valid-sample.txt")
    stream = torch.tensor([t for d in tokens(tokenizer.backend_tokenizer, train + valid[:450]) for t in d + [END]])
    unseen = tokens(tokenizer.backend_tokenizer, valid[450:])

    model = MixtralForCausalLM._from_config(CONFIG, experts_implementation="eager")
    first = 0
    if (out / "training.json").exists():
        first = json.loads((out / "training.json").read_text())["steps"]
        model.load_state_dict(MixtralForCausalLM.from_pretrained(out, dtype=torch.float32).state_dict())
        torch.manual_seed(SEED + first)
    model.train()
    print("parameters", sum(p.numel() for p in model.parameters()), "training tokens", len(stream), flush=True)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0}], lr=PEAK, betas=(0.9, 0.95))

    start = time.process_time()
    for step in range(first, steps):
        rate = PEAK * min(1, (step + 1) / WARMUP) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = torch.stack([stream[i : i + LENGTH] for i in torch.randint(0, len(stream) - LENGTH, (BATCH,))])
        embedded = F.dropout(model.model.embed_tokens(rows), DROPOUT)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = model(inputs_embeds=embedded, output_router_logits=True)
        loss = F.cross_entropy(result.logits[:, :-1].float().reshape(-1, VOCABULARY), rows[:, 1:].reshape(-1))
        optimizer.zero_grad()
        (loss + CONFIG.router_aux_loss_coef * result.aux_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 0:
            print(step, f"loss {loss.item():.3f} balance {result.aux_loss.item():.2f} {time.process_time() - start:.0f} s", flush=True)
        if step % 25 == 24 or step == steps - 1:
            nll, sent = evaluate(model, unseen[:20] if step < steps - 1 else unseen)
            print(step, f"unseen nll {nll:.4f} perplexity {math.exp(nll):.2f}", flush=True)
            print("\n".join(" ".join(f"{100 * s:5.1f}" for s in layer) for layer in sent), flush=True)
            saved = MixtralForCausalLM(CONFIG)
            saved.load_state_dict(model.state_dict())
            saved.to(torch.bfloat16).save_pretrained(out)
            (out / "training.json").write_text(json.dumps({"steps": step + 1, "unseen_perplexity": math.exp(nll)}))
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
