"""Tiny models of families and of their variants, with what transformers computes for them.

    python references.py FOLDER [name ...]

Writes one folder per model: config.json and model.safetensors as transformers saves them, reference.safetensors with hidden states,
logits and the inputs of the linears of a layer, reference.json with their names. ArchitectureContractTest reads them; those in
src/test/resources/architectures were made by this script with transformers 5.22.0 and torch 2.15.0 (fp32 on CPU, eager attention, each
sequence alone). Weights are random and so scaled that activations are of order one and attention is not uniform.
"""

import json
import math
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.pytorch_utils import Conv1D

SIZES = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=64,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
OLD = dict(hidden_size=32, n_layer=2, n_head=4, vocab_size=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GPT2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
OPT = dict(
    hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=64, max_position_embeddings=64,
    bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
FALCON = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=64, max_position_embeddings=64,
    layer_norm_epsilon=1e-3, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)

# name: model_type, what its config says, what it exercises
MODELS = {
    "granite": (
        "granite",
        SIZES | dict(rms_norm_eps=1e-3, embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.4,
                     logits_scaling=2.0, tie_word_embeddings=True),
        "four multipliers",
    ),
    "olmo2": ("olmo2", SIZES | dict(rms_norm_eps=1e-3), "norms after attention and MLP, norms over all of q and k"),
    "stablelm": ("stablelm", SIZES | dict(layer_norm_eps=1e-3), "a quarter of head_dim turns, LayerNorm, no biases"),
    "stablelm-parallel": (
        "stablelm",
        SIZES | dict(layer_norm_eps=1e-3, use_qkv_bias=True, qk_layernorm=True, use_parallel_residual=True,
                     rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)),
        "attention and MLP on one norm, a LayerNorm for each head of q and k, biases on q, k and v",
    ),
    "falcon-rw": (
        "falcon",
        FALCON | dict(num_attention_heads=6, hidden_size=48, alibi=True, multi_query=False, parallel_attn=False, bias=True),
        "alibi, k and v for every head, one after the other, biases; heads are no power of two",
    ),
    "opt-after": (
        "opt",
        OPT | dict(do_layer_norm_before=False, word_embed_proj_dim=16, activation_function="gelu"),
        "LayerNorm after, an embedding of 16 columns with projections in and out, no final norm",
    ),
    "bloom-post": (
        "bloom",
        OLD | dict(layer_norm_epsilon=1e-3, n_head=3, hidden_size=24, apply_residual_connection_post_layernorm=True),
        "the residual stream is what the norms give; three heads",
    ),
    "gpt2-by-layer": (
        "gpt2", GPT2 | dict(scale_attn_by_inverse_layer_idx=True), "scores are divided by the layer's number; n_inner is null"
    ),
    "gpt_neox-sequential": (
        "gpt_neox",
        {k: v for k, v in SIZES.items() if k != "num_key_value_heads"}
        | dict(layer_norm_eps=1e-3, use_parallel_residual=False, attention_bias=False),
        "attention and MLP one after the other, no biases in attention",
    ),
    "llama-dynamic": (
        "llama",
        SIZES | dict(max_position_embeddings=16,
                     rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=3.0)),
        "dynamic rope: the second sequence is longer than 16",
    ),
    "falcon-one-norm": (
        "falcon",
        FALCON | dict(new_decoder_architecture=True, num_ln_in_parallel_attn=1, num_kv_heads=2, ffn_hidden_size=48, bias=True),
        "k and v in groups, one norm for attention and MLP",
    ),
    "phi": (
        "phi",
        SIZES | dict(layer_norm_eps=1e-3, qk_layernorm=True, hidden_act="gelu_new"),
        "attention and MLP on one norm, a LayerNorm with bias over each head, half of a head turns, a head with bias",
    ),
}
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
MODELS["gemma3-whole"] = (
    "gemma3",
    dict(
        text_config={k: v for k, v in SIZES.items() if k != "hidden_act"}
        | dict(rms_norm_eps=1e-3, head_dim=8, query_pre_attn_scalar=12, sliding_window=6,
               layer_types=["sliding_attention", "full_attention"],
               rope_parameters=dict(
                   full_attention=dict(rope_type="linear", factor=8.0, rope_theta=10000.0),
                   sliding_attention=dict(rope_type="default", rope_theta=100.0))),
        vision_config=VISION | dict(model_type="siglip_vision_model"),
        mm_tokens_per_image=4, image_token_index=60, boi_token_index=61, eoi_token_index=62,
    ),
    "a language model among other things: its config in text_config, its names behind language_model",
)
MODELS["qwen2_5_vl"] = (
    "qwen2_5_vl",
    dict(
        text_config=SIZES
        | dict(rms_norm_eps=1e-3, rope_parameters=dict(rope_type="default", rope_theta=10000.0, mrope_section=[1, 1, 2])),
        vision_config=dict(hidden_size=16, intermediate_size=24, depth=1, num_heads=2, patch_size=4, out_hidden_size=32,
                           fullatt_block_indexes=[0]),
        image_token_id=60, video_token_id=61, vision_start_token_id=62, vision_end_token_id=63,
    ),
    "multimodal rope, which for text is the plain one",
)
MODELS["mixtral-sliding"] = (
    "mixtral",
    SIZES | dict(rms_norm_eps=1e-3, sliding_window=6, num_local_experts=5, num_experts_per_tok=2),
    "experts in every layer, which all slide",
)
MODELS["qwen2_moe-every-other"] = (
    "qwen2_moe",
    SIZES | dict(rms_norm_eps=1e-3, num_hidden_layers=3, decoder_sparse_step=2, use_sliding_window=True, sliding_window=6,
                 max_window_layers=2, qkv_bias=False, norm_topk_prob=True, num_experts=6, num_experts_per_tok=3,
                 moe_intermediate_size=16, shared_expert_intermediate_size=24),
    "experts in every other layer, weights renormalised, no biases, the first layer slides",
)
MODELS["qwen3_moe-biased"] = (
    "qwen3_moe",
    SIZES | dict(rms_norm_eps=1e-3, head_dim=16, attention_bias=True, mlp_only_layers=[0], num_experts=6, num_experts_per_tok=3,
                 norm_topk_prob=False, moe_intermediate_size=16),
    "biases in attention, the first layer dense, weights as the softmax gives them",
)
MODELS["gpt_oss-unbiased"] = (
    "gpt_oss",
    SIZES | dict(rms_norm_eps=1e-3, head_dim=8, attention_bias=False, sliding_window=6, num_local_experts=4,
                 num_experts_per_tok=3, swiglu_alpha=1.2, swiglu_limit=0.8,
                 rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    "no biases in attention, another gain and limit, plain rope",
)
MODELS["deepseek_v3-direct"] = (
    "deepseek_v3",
    SIZES
    | dict(rms_norm_eps=1e-3, num_key_value_heads=4, q_lora_rank=None, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=16,
           rope_interleave=False, attention_bias=True, first_k_dense_replace=1, n_routed_experts=6, num_experts_per_tok=2,
           n_group=1, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.5, n_shared_experts=2, moe_intermediate_size=16,
           num_nextn_predict_layers=0,
           rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    "queries without a latent, halves turn, biases, one group, two shared experts in one, values wider than what does not turn",
)
# What llama.cpp runs: experts in all layers.
MODELS["qwen2_moe-all"] = (
    "qwen2_moe",
    SIZES | dict(hidden_size=64, rms_norm_eps=1e-3, num_experts=6, num_experts_per_tok=3, norm_topk_prob=False,
                 moe_intermediate_size=32, shared_expert_intermediate_size=96, mlp_only_layers=[]),
    "experts and a shared one in every layer",
)
LENGTHS = (10, 18)
# The eager attention of falcon adds alibi twice, once through the mask.
NOT_EAGER = {"falcon-rw"}


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor):
        return torch.empty_like(tensor).normal_(generator=generator)

    for name, parameter in model.named_parameters():
        module = model.get_submodule(name.rsplit(".", 1)[0])
        last = name.rsplit(".", 1)[1]
        if last == "bias" or last.endswith("_bias"):
            value = 0.3 * normal(parameter)
        elif last == "gate_up_proj" or last == "down_proj":  # of all experts
            inputs = module.hidden_size if hasattr(module, "alpha") and last == "gate_up_proj" else parameter.shape[-1]
            value = 1.1 / math.sqrt(inputs) * normal(parameter)
        elif parameter.dim() == 2 and "router" in type(module).__name__.lower():
            value = 1.6 / math.sqrt(parameter.shape[1]) * normal(parameter)
        elif isinstance(module, torch.nn.Embedding):
            value = normal(parameter)
        elif isinstance(module, (torch.nn.Linear, Conv1D)):
            inputs = module.weight.shape[0] if isinstance(module, Conv1D) else module.weight.shape[1]
            gain = 1.6 if any(part in name for part in ("q_proj", "k_proj", "query_key_value", "c_attn", "qkv")) else 1.1
            value = gain / math.sqrt(inputs) * normal(parameter)
        else:
            value = parameter + 0.3 * normal(parameter)
        parameter.data.copy_(value.bfloat16().float())


def randomize_corrections(model, seed):
    """Of routers: what is added to scores in order to choose."""
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.copy_((0.2 * torch.empty_like(buffer).normal_(generator=generator)).bfloat16())


def experts_of(layer, routed, stored):
    """The sites of experts, by the names of their tensors: (site, rows of the tapped sequence)."""
    sites = []
    for expert in range(routed["experts"]):
        rows = (routed["chosen"] == expert).any(-1).nonzero()[:, 0]
        names = {n.removesuffix(".weight") for n in stored if f"layers.{layer}." in n and f".experts.{expert}." in n}
        if names:
            last = {n.rsplit(".", 1)[1]: n for n in names}
            first = [last[k] for k in ("w1", "w3", "gate_proj", "up_proj") if k in last]
            second = [last[k] for k in ("w2", "down_proj") if k in last]
        else:
            stack = next(n for n in stored if f"layers.{layer}." in n and n.endswith("experts.gate_up_proj"))
            first, second = [f"{stack}.{expert}"], [f"{stack.replace('gate_up', 'down')}.{expert}"]
        sites.append((dict(input=first[0], linears=first, expert=expert, rows=len(rows)), rows))
        sites.append((dict(input=second[0], linears=second, expert=expert, rows=len(rows)), None))
    return sites


def layers_of(model):
    """Of the language model, should there be others beside it."""
    text = model.config.get_text_config()
    lists = [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)]
    fits = [(n, m) for n, m in lists if len(m) == text.num_hidden_layers]
    return min(fits, key=lambda nm: ("language_model" not in nm[0], len(nm[0])))


def spelled(name, stored):
    """A module's name as the checkpoint has it: transformers turns some names around when it saves."""
    turned = [name.replace("model.language_model.", root) for root in ("language_model.model.", "model.")]
    return next((n for n in turned if n + ".weight" in stored), name)


def reference(name, folder):
    model_type, settings, exercises = MODELS[name]
    config = AutoConfig.for_model(model_type, **settings)
    attention = "sdpa" if name in NOT_EAGER else "eager"
    whole = hasattr(config, "vision_config")
    kind = AutoModelForImageTextToText if whole else AutoModelForCausalLM
    model = kind.from_config(config, attn_implementation=attention).float().eval()
    randomize(model, sum(map(ord, name)))
    randomize_corrections(model, len(name))
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()

    with safe_open(folder / "model.safetensors", "pt") as file:
        stored = set(file.keys())
    prefix, layers = layers_of(model)
    linears, routed = {}, {}
    for module_name, module in model.named_modules():
        if module_name.endswith("shared_expert_gate"):
            continue  # kept
        if module_name.startswith(prefix + ".") and isinstance(module, (torch.nn.Linear, Conv1D)):
            linears[module_name] = module
        if module_name.endswith(".experts"):
            layer = int(module_name.split("layers.")[1].split(".")[0])
            module.register_forward_pre_hook(
                lambda m, given, l=layer: routed.__setitem__(
                    l, dict(x=given[0], chosen=given[1], weights=given[2], experts=m.num_experts)))
    seen, hidden = [], []
    for linear_name, linear in linears.items():
        linear.register_forward_pre_hook(lambda _, given, n=spelled(linear_name, stored): seen.append((n, given[0])))
    layers[0].register_forward_pre_hook(
        lambda _, given, named: hidden.append(given[0] if given else named["hidden_states"]), with_kwargs=True)
    for layer in layers:
        layer.register_forward_hook(
            lambda _, given, out: hidden.append(out[0] if isinstance(out, tuple) else out))

    tensors, sites = {}, []
    generator = torch.Generator().manual_seed(len(name))
    for sequence, length in enumerate(LENGTHS):
        ids = torch.randint(3, 60 if whole else config.vocab_size, (1, length), generator=generator)
        seen.clear()
        hidden.clear()
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
        tensors[f"{sequence}.input_ids"] = ids[0]
        for i, h in enumerate(hidden):
            tensors[f"{sequence}.hidden.{i}"] = h.reshape(length, -1).clone()
        tensors[f"{sequence}.logits"] = logits[0].clone()
    for layer in range(len(layers)):
        groups = []
        for linear_name, given in seen:
            if f"layers.{layer}." not in linear_name and f"h.{layer}." not in linear_name:
                continue
            group = next((g for g in groups if g["tensor"] is given), None)
            if group is None:
                groups.append({"tensor": given, "linears": [linear_name]})
            else:
                group["linears"].append(linear_name)
        sites.append({"layer": layer, "sites": [
            {"input": g["linears"][0], "linears": g["linears"], "columns": g["tensor"].shape[-1]} for g in groups]})
        if layer in routed:
            for site, rows in experts_of(layer, routed[layer], stored):
                sites[-1]["sites"].append(site)
                if layer == len(layers) - 1 and rows is not None and len(rows) > 0:
                    tensors[site["input"]] = routed[layer]["x"][rows].clone()
            router = next(n for n in stored if f"layers.{layer}." in n and n.endswith((".gate.weight", ".router.weight")))
            router = router.removesuffix(".weight")
            tensors[f"1.{router}.experts"] = routed[layer]["chosen"].clone()
            tensors[f"1.{router}.weights"] = routed[layer]["weights"].float().clone()
        if layer == len(layers) - 1:
            for g in groups:
                tensors[g["linears"][0]] = g["tensor"].reshape(LENGTHS[1], -1).clone()
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "reference.safetensors")

    quantized = {spelled(n, stored) + s for n in linears for s in (".weight", ".bias")}
    quantized |= {n for n in stored if ".experts." in n}
    keep = sorted(stored - quantized)
    facts = dict(
        model_type=config.get_text_config().model_type, exercises=exercises, configs=["config.json"], lengths=list(LENGTHS),
        inputs_of_sequence=1, inputs_of_layers=[len(layers) - 1], sites=sites, keep=keep,
        transposed=sorted(n for n, m in linears.items() if isinstance(m, Conv1D)),
    )
    (folder / "reference.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "generation_config.json").unlink(missing_ok=True)
    spread = max(float(t.abs().max()) for k, t in tensors.items() if k.endswith("logits"))
    print(f"{name}: greatest logit {spread:.2f}, {len(tensors)} tensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    for chosen in sys.argv[2:] or MODELS:
        (target / chosen).mkdir(parents=True, exist_ok=True)
        reference(chosen, target / chosen)
