"""Quantizes a model by the formats' own tools on the CPU, several rows of methods.sh in one process.

methods_peers.py MODEL TEXT SAMPLES LENGTH GROUP <LINES      each line: ROW OUT [OURS]; one whose OUT is there already is left out

OUT becomes the checkpoint that the tool writes (llm-compressor, bitsandbytes), or a dense one of the weights that the tool's own
code makes of its codes. OURS, for rows of GGUF, is our file, of which the types of tensors are taken.
"""
import ctypes
import glob
import json
import os
import shutil
import sys
import time
import traceback

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model, text, samples, length, group = sys.argv[1:3] + [int(a) for a in sys.argv[3:6]]
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))


def windows():
    """The first SAMPLES x LENGTH tokens of the text, as every tool takes them."""
    from tokenizers import Tokenizer

    tokenizer, ids = Tokenizer.from_file(model + "/tokenizer.json"), []
    for line in open(text, encoding="utf-8"):
        ids += tokenizer.encode(line, add_special_tokens=False).ids
        if len(ids) >= samples * length:
            return [ids[i * length:(i + 1) * length] for i in range(samples)]
    raise SystemExit("the text is too short")


def load(dtype="auto"):
    return AutoModelForCausalLM.from_pretrained(model, dtype=dtype)


def linears(loaded):
    return {f"model.layers.{name}": module for name, module in loaded.model.layers.named_modules()
            if isinstance(module, torch.nn.Linear)}


def write_dense(out, weights):
    """The model in float32 with some of its weights replaced."""
    dense = load(torch.float32)
    for name, module in linears(dense).items():
        module.weight.data = weights[name].float().reshape(module.weight.shape).contiguous()
    dense.save_pretrained(out)
    shutil.copy(model + "/tokenizer.json", out)


def llm_compressor(row, out):
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

    torch.Tensor.pin_memory = lambda tensor, *_: tensor  # its AWQ asks for that without a GPU, too, where it fails

    def groups(bits, symmetric):
        return {"config_groups": {"group_0": {"targets": ["Linear"], "weights": {
            "num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": group}}}}

    def preset(name):
        return {"targets": "Linear", "scheme": name}

    method, _, kind = row.partition("-")
    calibrated = {}
    if method in ("gptq", "awq", "w8a8"):
        rows = windows()
        calibrated = dict(
            dataset=Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * length] * samples}),
            max_seq_length=length, num_calibration_samples=samples, shuffle_calibration_samples=False)
    plain = {"ct-fp8": "FP8_DYNAMIC", "fp8": "FP8_BLOCK", "ct-nvfp4": "NVFP4A16", "ct-mxfp4": "MXFP4A16"}
    if row == "ct-int8":
        recipe = QuantizationModifier(ignore=["lm_head"], config_groups={"group_0": {"targets": ["Linear"], "weights": {
            "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}}})
    elif method == "w8a8":
        recipe = [SmoothQuantModifier(smoothing_strength=0.5)] if kind == "smooth" else []
        recipe.append(QuantizationModifier(ignore=["lm_head"], **preset("W8A8")))
    elif row in plain:
        recipe = QuantizationModifier(ignore=["lm_head"], **preset(plain[row]))
    elif method == "gptq":
        recipe = GPTQModifier(ignore=["lm_head"], **groups(int(kind), True))
    elif method == "rtn":
        recipe = QuantizationModifier(ignore=["lm_head"], **groups(int(kind), True))
    else:
        recipe = [AWQModifier(), QuantizationModifier(ignore=["lm_head"], **groups(int(kind[0]), "asym" not in kind))]
    loaded = load()
    oneshot(model=loaded, recipe=recipe, **calibrated)
    loaded.save_pretrained(out, save_compressed=True)


def bitsandbytes(row, out):
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_8bit=True) if row == "bnb-int8" else BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=row[4:7], bnb_4bit_use_double_quant=row.endswith("nested"),
        bnb_4bit_compute_dtype=torch.bfloat16)
    loaded = AutoModelForCausalLM.from_pretrained(
        model, quantization_config=config, dtype=torch.bfloat16, device_map="cpu")
    loaded.save_pretrained(out)


def hqq(row, out):
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    config = BaseQuantizeConfig(nbits=int(row[4:]), group_size=64, axis=1)
    loaded = load(torch.float32)
    write_dense(out, {name: HQQLinear(module, config, compute_dtype=torch.float32, device="cpu", del_orig=False).dequantize()
                      for name, module in linears(loaded).items()})


def torchao(row, out):
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup

    config = {"torchao-int8": lambda: Int8WeightOnlyConfig(), "torchao-fp8": lambda: Float8WeightOnlyConfig()}.get(
        row, lambda: IntxWeightOnlyConfig(weight_dtype=getattr(torch, "int" + row[8:]), granularity=PerGroup(group)))()
    loaded = load(torch.bfloat16)
    quantize_(loaded.model.layers, config)
    write_dense(out, {name: module.weight.dequantize()
                      for name, module in linears(loaded).items()})


def quanto(row, out):
    from optimum.quanto import freeze, qfloat8, qint2, qint4, qint8, quantize

    loaded = load()
    quantize(loaded.model.layers, weights={"int8": qint8, "fp8": qfloat8, "int4": qint4, "int2": qint2}[row[7:]])
    freeze(loaded.model.layers)
    write_dense(out, {name: module.weight.dequantize() for name, module in linears(loaded).items()})


def auto_round(row, out):
    from auto_round import AutoRound

    loaded = load()
    dataset = [{"input_ids": torch.tensor([w]), "attention_mask": torch.ones(1, length, dtype=torch.long)} for w in windows()]
    rounder = AutoRound(loaded, AutoTokenizer.from_pretrained(model),
                        scheme={"bits": int(row[10:]), "group_size": group, "sym": True, "data_type": "int"},
                        iters=int(os.environ.get("AUTOROUND_ITERS", 200)), nsamples=samples, seqlen=length, batch_size=8, dataset=dataset,
                        device_map="cpu")
    rounded = rounder.quantize()
    rounded = rounded[0] if isinstance(rounded, tuple) else rounded
    write_dense(out, {name: module.weight.data for name, module in linears(rounded).items()})


def squares(loaded):
    """The mean of the squares of every linear's inputs: what llama.cpp's imatrix has."""
    sums, hooks = {}, []
    for name, module in linears(loaded).items():
        def add(_, inputs, name=name):
            x = inputs[0].flatten(0, -2)
            sums[name] = sums.get(name, 0) + x.double().square().sum(0)
        hooks.append(module.register_forward_pre_hook(add))
    with torch.inference_mode():
        for window in windows():
            loaded(torch.tensor([window]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return {name: (s / (samples * length)).float().numpy() for name, s in sums.items()}


GGUF_NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
              "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
importance = None


def gguf(row, out, ours):
    """libggml's quantizers with an imatrix on the types that llama.cpp's mixture has; embedding and head, too."""
    global importance
    import numpy as np
    import xllamacpp
    from gguf import GGUFReader, dequantize

    library = ctypes.CDLL(glob.glob(os.path.dirname(xllamacpp.__file__) + "/xllamacpp*.so")[0])
    chunk = library.ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C")
    dense = load(torch.float32)
    if importance is None:
        importance = squares(dense)
    state = dense.state_dict()
    for tensor in GGUFReader(glob.glob(ours + "/*.gguf")[0]).tensors:
        parts = tensor.name.split(".")
        if parts[0] == "blk" and parts[2] in GGUF_NAMES:
            name = f"model.layers.{parts[1]}.{GGUF_NAMES[parts[2]]}"
        elif parts[0] in ("token_embd", "output"):
            name = {"token_embd": "model.embed_tokens", "output": "lm_head"}[parts[0]]
        else:
            continue
        weight = state[name + ".weight"]  # q and k have their rows in another order there: a row's codes are its own
        rows, cols = weight.shape
        packed = np.zeros(tensor.data.nbytes, np.uint8)
        matter = importance.get(name)
        chunk.argtypes = [ctypes.c_int, pointer, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
        if int(tensor.tensor_type) in (0, 1, 30):  # F32, F16, BF16
            continue
        size = chunk(int(tensor.tensor_type), np.ascontiguousarray(weight.numpy()), packed.ctypes.data, 0, rows, cols,
                     matter.ctypes.data if matter is not None and os.environ.get("NO_IMATRIX") is None else None)
        assert size == packed.nbytes, (tensor.name, size, packed.nbytes)
        weight.copy_(torch.from_numpy(dequantize(packed.reshape(rows, -1), tensor.tensor_type)))
    dense.save_pretrained(out)
    shutil.copy(model + "/tokenizer.json", out)


TOOLS = {"bnb": bitsandbytes, "hqq": hqq, "torchao": torchao, "quanto": quanto, "autoround": auto_round, "gguf": gguf}
failed = 0
for line in sys.stdin:
    row, out, *more = line.split()
    if os.path.exists(out):
        continue
    begin = time.time()
    try:
        tool = TOOLS.get(row.partition("-")[0], llm_compressor)
        tool(row, out, *more[:tool is gguf])
        print(f"DONE {json.dumps({'row': row, 'seconds': round(time.time() - begin, 1)})}", flush=True)
    except (Exception, SystemExit) as e:
        traceback.print_exc()
        print(f"FAILED {row}: {e}", flush=True)
        shutil.rmtree(out, ignore_errors=True)
        failed = 1
sys.exit(failed)
