"""Loads checkpoints in the programs that people use and measures how far their logits are from a reference.

    load_cases.py CASES.json RESULTS.jsonl

A case: {"name", "loader", "dtype", "checkpoint": folder} and either {"dense": folder, "tokens": [[id, ...], ...]}, a dense
checkpoint that transformers runs in float32, or {"logits": file} with the tensors input_ids and logits. A result, one line
of JSON written as soon as it is known: {"name", "seconds"} and either {"relative", "max_abs", "top1", "kl", "finite",
"unclean": [what the loader's report says that it should not]} or {"error": what the loader raised}.
"""

import json
import os
import sys
import time
import traceback

# Nothing is fetched: a checkpoint that needs something from elsewhere is not whole.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# GPTQModel asks for a pool of this many workers and stops where a machine has fewer cores than it assumes.
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
# Its torch kernel is compiled for every checkpoint, which takes a minute and changes nothing in what is compared.
os.environ["TORCHDYNAMO_DISABLE"] = "1"
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")

import numpy as np
import torch


def logits_of(model, tokens):
    with torch.inference_mode():
        return model(input_ids=torch.tensor(tokens), use_cache=False).logits.float().numpy()


def unclean(report):
    """What transformers only warns about: tensors it made up, left out, or could not fit."""
    return [f"{kind}: {sorted(map(str, report[kind]))[:4]}"
            for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs") if report.get(kind)]


def with_transformers(folder, tokens, dtype):
    import transformers

    # A model of images and text is not among the causal ones.
    whole = config_of(folder)["architectures"][0].endswith("ForConditionalGeneration")
    auto = transformers.AutoModelForImageTextToText if whole else transformers.AutoModelForCausalLM
    method = config_of(folder).get("quantization_config", {}).get("quant_method")
    device = {"device_map": "cpu"} if method == "bitsandbytes" else {}
    model, report = auto.from_pretrained(folder, dtype=getattr(torch, dtype), output_loading_info=True, **device)
    problems = unclean(report)
    if "quantization_config" in config_of(folder) and not quantized_modules(model):
        problems.append("no module holds packed weights: the quantization was ignored")
    return logits_of(model, tokens), problems


def with_transformers_dequantized(folder, tokens, dtype):
    """Formats for which there is no kernel on a CPU: transformers unpacks them when it loads."""
    import transformers

    method = config_of(folder)["quantization_config"]["quant_method"]
    options = {"quantization_config": transformers.Mxfp4Config(dequantize=True)} if method == "mxfp4" else {}
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), output_loading_info=True, **options)
    return logits_of(model, tokens), unclean(report)


def with_hqq(folder, tokens, dtype):
    """The library's own linears, one by one: transformers 5 leaves them random."""
    from hqq.core.quantize import HQQLinear
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    stored = load_file(os.path.join(folder, "model.safetensors"))
    linears = [key.removesuffix(".W_q") for key in stored if key.endswith(".W_q")]
    for name in linears:
        linear = HQQLinear(None, None, compute_dtype=getattr(torch, dtype), device="cpu", initialize=False)
        linear.load_state_dict({key.removeprefix(name + "."): stored.pop(key)
                                for key in list(stored) if key.startswith(name + ".")}, strict=True)
        parent, child = name.rsplit(".", 1)
        setattr(model.get_submodule(parent), child, linear)
    missing, unexpected = model.load_state_dict(stored, strict=False)
    missing = [name for name in missing if name != "lm_head.weight" and name.rsplit(".", 1)[0] not in linears]
    model.tie_weights()
    return logits_of(model, tokens), [f"{kind}: {names[:4]}" for kind, names in
                                      (("missing", missing), ("unexpected", unexpected)) if names]


def with_quanto(folder, tokens, dtype):
    """The library's classes hold the weights; what they hold is run dense, since its 8-bit product stops on torch 2.15."""
    from optimum.quanto import QuantizedModelForCausalLM
    from optimum.quanto.nn import QModuleMixin
    from transformers import AutoConfig, AutoModelForCausalLM

    held = QuantizedModelForCausalLM.from_pretrained(folder)._wrapped
    weights = {f"{name}.weight": module.weight.dequantize() for name, module in held.named_modules()
               if isinstance(module, QModuleMixin) and name != "lm_head"}
    problems = [] if weights else ["no module holds packed weights"]
    others = {name: value for name, value in held.state_dict().items()
              if name.endswith((".weight", ".bias")) and name not in weights}
    config = AutoConfig.from_pretrained(folder)
    del config.quantization_config
    dense = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    missing, unexpected = dense.load_state_dict(others | weights, strict=False)
    problems += [f"missing: {missing}"] if set(missing) - {"lm_head.weight"} else []
    dense.tie_weights()
    return logits_of(dense, tokens), problems + ([f"unexpected: {unexpected[:4]}"] if unexpected else [])


def eetq_codes(arranged):
    """Back from what EETQ's cutlass_preprocessors.cc does to inputs x outputs on GPUs of capability 7.5 to 8.9, the last step first."""
    inputs, outputs = arranged.shape
    unbiased = arranged.contiguous().view(torch.uint8).reshape(-1, 4)[:, [0, 2, 1, 3]].reshape(-1).to(torch.int16) - 128
    columns = unbiased.reshape(outputs // 2, inputs // 64, 2, 64).transpose(1, 2).reshape(outputs, inputs)
    order = torch.tensor([0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15])
    return columns.reshape(outputs, -1, 16)[:, :, torch.argsort(order)].reshape(outputs, inputs)


def as_documented(folder, tokens, dtype):
    """Formats whose loaders need a GPU: what their documentation says that the tensors stand for, in float32."""
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM

    block = config_of(folder)["quantization_config"]
    stored = load_file(os.path.join(folder, "model.safetensors"))
    take = lambda name: stored.pop(name).float()
    problems = []
    dense = {}
    for scale in [name for name in stored if name.endswith(".weight_scales")]:  # EETQ's, arranged for its kernels
        linear = scale.removesuffix(".weight_scales")
        dense[linear + ".weight"] = eetq_codes(stored.pop(linear + ".weight")).float() * take(scale)[:, None]
    for scale in [name for name in stored if name.endswith(".weight_scale")]:
        linear = scale.removesuffix(".weight_scale")
        kind = (block["quant_method"], block.get("quant_algo"))
        codes = stored.pop(linear + ".weight")
        if kind == ("modelopt", "NVFP4"):
            values = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6])
            nibbles = torch.stack((codes & 15, codes >> 4), -1).flatten(1).long()
            weight = values[nibbles & 7] * torch.where(nibbles > 7, -1., 1.)
            scales = take(scale) * take(linear + ".weight_scale_2")
            dense[linear + ".weight"] = weight * scales.repeat_interleave(16, 1)
        else:
            shapes = {"fbgemm_fp8": (len(codes), 1), "modelopt": (), "quark": (len(codes),)}
            if tuple(stored[scale].shape) != shapes[kind[0]] or stored[scale].dtype != torch.float32:
                problems.append(f"{scale} is {stored[scale].dtype} {tuple(stored[scale].shape)}")
            factor = take(scale)
            dense[linear + ".weight"] = codes.float() * (factor.view(-1, 1) if factor.numel() > 1 else factor)
        points = [stored.pop(linear + point, None) for point in (".weight_zero_point", ".input_zero_point")]
        if any((point is not None) != (codes.dtype == torch.int8) or point is not None and point.any() for point in points):
            problems.append(f"the zero points of {linear} are {points}")
        # Every input that a server would quantize with a fixed scale has one, and it is a sound number.
        fixed = stored.pop(linear + ".input_scale", None)
        said = (block["quant_method"] == "modelopt"
                or block.get("global_quant_config", {}).get("input_tensors", {}).get("is_dynamic") is False)
        if said != (fixed is not None) or (said and not (tuple(fixed.shape) == () and 1e-5 < fixed.item() < 1)):
            problems.append(f"the scale of the inputs of {linear} is {fixed}")
    kept = [name for name in stored if name.endswith((".k_proj.k_scale", ".v_proj.v_scale"))]
    if len(kept) != (2 * config_of(folder)["num_hidden_layers"] if block.get("kv_cache_scheme") else 0):
        problems.append(f"scales of keys and values: {kept[:4]}")
    problems += [f"{name} is {stored[name]}" for name in kept if not 1e-5 < stored.pop(name).item() < 1]
    config = AutoConfig.from_pretrained(folder)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    missing, unexpected = model.load_state_dict(stored | dense, strict=False)
    problems += [f"missing: {missing[:4]}"] if set(missing) - {"lm_head.weight"} else []
    model.tie_weights()
    return logits_of(model, tokens), problems + ([f"unexpected: {unexpected[:4]}"] if unexpected else [])


def with_gptqmodel(folder, tokens, dtype):
    from gptqmodel import BACKEND, GPTQModel

    loaded = GPTQModel.load(folder, device="cpu", backend=BACKEND.TORCH, dtype=getattr(torch, dtype))
    problems = [] if quantized_modules(loaded.model) else ["no module holds packed weights"]
    return logits_of(loaded.model, tokens), problems


def with_compressed_tensors(folder, tokens, dtype):
    """The library alone: its compressor on a bare model, filled with the stored tensors, made dense again."""
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import apply_quantization_config
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM, CompressedTensorsConfig

    config = AutoConfig.from_pretrained(folder)
    settings = dict(config_of(folder)["quantization_config"])
    settings.pop("quant_method")
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    compressor = ModelCompressor.from_compression_config(CompressedTensorsConfig(**settings))
    apply_quantization_config(model, compressor.quantization_config)
    compressor.compress_model(model)
    stored = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            stored.update(load_file(os.path.join(folder, name)))
    missing, unexpected = model.load_state_dict(stored, strict=False)
    if config.tie_word_embeddings:
        missing = [name for name in missing if name != "lm_head.weight"]
    compressor.decompress_model(model)
    model.tie_weights()
    return logits_of(model, tokens), [f"{kind}: {names[:4]}" for kind, names in
                                      (("missing", missing), ("unexpected", unexpected)) if names]


def gguf_of(folder):
    return next(os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".gguf"))


def with_transformers_gguf(folder, tokens, dtype):
    """transformers' own reader of GGUF, which unpacks all of it."""
    import transformers

    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=os.path.basename(gguf_of(folder)), dtype=getattr(torch, dtype), output_loading_info=True)
    return logits_of(model, tokens), unclean(report)


def with_llama_cpp(folder, tokens, dtype):
    """llama.cpp's server in this process: after each prefix the logarithms of all probabilities, which are logits but for a number."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = gguf_of(folder)
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 256, 1, False, 0
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    rows = []
    for row in tokens:
        for t in range(len(row)):
            # Only a token that is text brings its probabilities along, so the next one is forced to be; they are those of before.
            answer = server.handle_completions({
                "prompt": row[:t + 1], "n_predict": 1, "n_probs": 1 << 20, "temperature": -1.0, "ignore_eos": True,
                "logit_bias": [[40, 1000.0]]})
            after = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            logits = np.full(len(after), np.nan, np.float32)
            for entry in after:
                logits[entry["id"]] = entry["logprob"]
            rows.append(logits)
    return np.stack(rows).reshape(len(tokens), len(tokens[0]), -1), []


def with_vllm(folder, tokens, dtype):
    from vllm import LLM, SamplingParams

    length = max(map(len, tokens))
    engine = LLM(model=folder, dtype=dtype, enforce_eager=True, max_model_len=length + 1, max_num_seqs=len(tokens),
                 max_logprobs=-1, logprobs_mode="raw_logits", skip_tokenizer_init=True, enable_prefix_caching=False)
    wanted = SamplingParams(max_tokens=1, temperature=0, ignore_eos=True, detokenize=False, logprobs=-1, prompt_logprobs=-1)
    answers = engine.generate([{"prompt_token_ids": row} for row in tokens], wanted, use_tqdm=False)
    vocabulary = config_of(folder)["vocab_size"]
    logits = np.full((len(tokens), length, vocabulary), np.nan, np.float32)
    for row, answer in zip(logits, answers):
        # The logits after token t stand at the prompt's entry t + 1, those after the last with the first new token.
        after = list(answer.prompt_logprobs[1:]) + [answer.outputs[0].logprobs[0]]
        for t, entries in enumerate(after):
            ids = list(entries)
            row[t, ids] = [entries[i].logprob for i in ids]
    return logits, []


LOADERS = {"transformers": with_transformers, "transformers, dequantized": with_transformers_dequantized,
           "gptqmodel": with_gptqmodel, "compressed-tensors": with_compressed_tensors, "hqq": with_hqq, "vllm": with_vllm,
           "optimum-quanto": with_quanto, "as documented": as_documented,
           "transformers, gguf": with_transformers_gguf, "llama.cpp": with_llama_cpp}


def config_of(folder):
    with open(os.path.join(folder, "config.json")) as file:
        return json.load(file)


def quantized_modules(model):
    return [name for name, module in model.named_modules()
            if hasattr(module, "qweight") or hasattr(module, "weight_packed") or hasattr(module, "weight_scale")
            or type(module).__name__ in ("Linear4bit", "Linear8bitLt", "QParamsLinear")
            or type(getattr(module, "weight", None)).__module__.startswith("torchao.")]


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def compared(reference, logits):
    reference, logits = reference.astype(np.float64), logits[..., :reference.shape[-1]].astype(np.float64)
    p, q = log_softmax(reference), log_softmax(logits)
    return {"relative": float(np.linalg.norm(logits - reference) / np.linalg.norm(reference)),
            "max_abs": float(np.abs(logits - reference).max()),
            "top1": float((reference.argmax(-1) == logits.argmax(-1)).mean()),
            "kl": float((np.exp(p) * (p - q)).sum(-1).mean()),
            "finite": bool(np.isfinite(logits).all())}


def reference_of(case, known):
    if "logits" in case:
        from safetensors.numpy import load_file

        tensors = load_file(case["logits"])
        return tensors["input_ids"].tolist(), tensors["logits"]
    key = (case["dense"], json.dumps(case["tokens"]))
    if key not in known:
        known[key], problems = with_transformers(case["dense"], case["tokens"], "float32")
        if problems:
            raise ValueError(f"the dense reference does not load cleanly: {problems}")
    return case["tokens"], known[key]


def run(case, known):
    start = time.time()
    try:
        tokens, reference = reference_of(case, known)
        logits, problems = LOADERS[case["loader"]](case["checkpoint"], tokens, case["dtype"])
        if case["loader"] == "llama.cpp":  # a number added to all logits means nothing, and it does not say which
            reference, logits = (x - x.mean(-1, keepdims=True) for x in (reference, logits))
        outcome = compared(reference, logits) | {"unclean": problems}
    except Exception as error:
        traceback.print_exc()
        outcome = {"error": f"{type(error).__name__}: {str(error).strip()[:400]}"}
    return {"name": case["name"], "seconds": round(time.time() - start, 1)} | outcome


def main(cases_file, results_file):
    with open(cases_file) as file:
        cases = json.load(file)
    known = {}
    with open(results_file, "w") as results:
        for case in cases:
            print("case", case["name"], flush=True)
            results.write(json.dumps(run(case, known)) + "\n")
            results.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
