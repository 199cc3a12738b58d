"""Linears as the formats' own tools store them, beside the weights that they were made of.

    python golden.py FOLDER [name ...]

Writes FOLDER/name/model.safetensors: what the tool made of a linear under the names that it has there, and `linear.weight` in the type
that the tool was given; in FOLDER/name/source where the tool has something of that name. CastGoldenTest makes it again. Those in
src/test/resources/golden were made with hqq 0.2.8.post1, nvidia-modelopt 0.47.0, amd-quark 0.13, optimum-quanto 0.2.7, torchao 0.18.0,
fbgemm-gpu-genai 1.9.0 and torch 2.15.0 on a CPU; what
../shared/interop/known-good has is not made again here.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def weight(outputs, inputs, dtype):
    """Normal, with a few large ones."""
    generator = torch.Generator().manual_seed(20261128)
    w = torch.randn(outputs, inputs, generator=generator) * 0.05
    w[::3, 7] *= 4
    return w.to(dtype)


def hqq(bits):
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    w = weight(48, 256, torch.float32)
    linear = torch.nn.Linear(256, 48, bias=False)
    linear.weight.data = w.clone()
    config = BaseQuantizeConfig(nbits=bits, group_size=64, axis=1)
    quantized = HQQLinear(linear, config, compute_dtype=torch.float32, device="cpu")
    quantized.encoded_state_dict = True
    return w, quantized.state_dict()


def quanto(bits, inputs):
    from optimum.quanto import qint2, qint4
    from optimum.quanto.nn import QLinear

    w = weight(48, inputs, torch.bfloat16)
    linear = torch.nn.Linear(inputs, 48, bias=False, dtype=torch.bfloat16)
    linear.weight.data = w.clone()
    quantized = QLinear.from_module(linear, weights={2: qint2, 4: qint4}[bits])
    quantized.freeze()
    stored = quantized.state_dict()
    size = torch.tensor(w.shape)  # ours
    return w, stored | {"weight._size": size, "dequantized": dequantized(stored, bits, w.shape)}


def quanto_bytes(name):
    import optimum.quanto
    from optimum.quanto.nn import QLinear

    w = weight(48, 256, torch.bfloat16)
    linear = torch.nn.Linear(256, 48, bias=False, dtype=torch.bfloat16)
    linear.weight.data = w.clone()
    quantized = QLinear.from_module(linear, weights=getattr(optimum.quanto, name))
    quantized.freeze()
    stored = quantized.state_dict()
    return w, stored | {"dequantized": scaled(stored["weight._data"], stored["weight._scale"])}


def torchao_fp8():
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import Float8WeightOnlyConfig, quantize_

    w = weight(48, 256, torch.bfloat16)
    linear = torch.nn.Linear(256, 48, bias=False, dtype=torch.bfloat16)
    linear.weight.data = w.clone()
    quantize_(linear, Float8WeightOnlyConfig())
    flat, _ = flatten_tensor_state_dict({"linear.weight": linear.weight})
    stored = {name.removeprefix("linear."): tensor for name, tensor in flat.items()}
    return w, stored | {"dequantized": scaled(stored["_weight_qdata"], stored["_weight_scale"])}


def fbgemm_fp8():
    """By what the library does where it finds no GPU; that its kernels do not load is no matter."""
    from fbgemm_gpu.experimental.gemm.triton_gemm.fp8_gemm import quantize_fp8_row

    w = weight(48, 256, torch.bfloat16)
    codes, scales = quantize_fp8_row(w)
    return w, {"weight": codes, "weight_scale": scales[:, None], "dequantized": scaled(codes, scales[:, None])}


def scaled(codes, scales):
    """In float32, whatever the library computes in."""
    return codes.float() * scales.float()


def dequantized(stored, bits, shape):
    """In float32, where the library would round to bfloat16 on the way."""
    codes = torch.ops.quanto.unpack(stored["weight._data._data"], bits)[: len(stored["weight._scale"])]
    return (codes.float() * stored["weight._scale"].float() - stored["weight._shift"].float()).reshape(shape)


def eetq():
    """EETQ packs for the GPU that it finds; this is what its cutlass_preprocessors.cc does for capability 7.5 to 8.9, step by step."""
    w = weight(128, 192, torch.float16)
    scales = w.float().abs().amax(1) / 128
    rounded = w.float() / scales[:, None]
    codes = torch.trunc(rounded + 0.5 * rounded.sign()).clamp(-128, 127)
    stored = codes.T.reshape(-1, 16, 128)[:, [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15]].reshape(192, 128)
    columns = stored.T.reshape(64, 2, 3, 64).transpose(1, 2)  # pairs of outputs, tiles, of a pair, inputs
    biased = (columns.reshape(-1, 4) + 128).to(torch.uint8)[:, [0, 2, 1, 3]]
    half = scales.half()
    return w, {"weight": biased.reshape(192, 128).view(torch.int8), "weight_scales": half,
               "dequantized": codes * half.float()[:, None]}


def mxfp4():
    """Two experts by the library whose layout gpt-oss has, and what transformers 5.22.0 dequantizes them to; the weight is that of the
    second, outputs x inputs. triton_kernels is in no index: here the text of this one function, of mid 2025, was run by itself."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    from triton_kernels.numerics_details.mxfp import downcast_to_mxfp_torch

    experts = weight(2 * 48, 64, torch.float32).reshape(2, 48, 64)
    packed, scales = downcast_to_mxfp_torch(experts, torch.uint8, axis=-1)
    blocks = packed.reshape(2, 48, 2, 16)
    stored = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    return stored[1].T.contiguous(), {"experts_blocks": blocks, "experts_scales": scales, "experts": stored}


def modelopt(name):
    import modelopt.torch.quantization as mtq
    from modelopt.torch.export.unified_export_hf import _export_quantized_weight

    w = weight(48, 256, torch.bfloat16)
    linear = torch.nn.Linear(256, 48, bias=False, dtype=torch.bfloat16)
    linear.weight.data = w.clone()
    met = torch.linspace(-1, 1, 256, dtype=torch.bfloat16)[None]  # by what inputs' scale is calibrated
    mtq.quantize(torch.nn.Sequential(linear), getattr(mtq, name), lambda model: model(met))
    _export_quantized_weight(linear, torch.bfloat16)
    return w, {key: value for key, value in linear.state_dict().items() if "quantizer" not in key}


def quark(weights, inputs):
    """Of a model in float32: scales have the model's type there."""
    import tempfile

    from quark.torch import ModelQuantizer, export_safetensors
    from quark.torch.quantization.config import config as quark
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForCausalLM

    def spec(name, **settings):
        return getattr(quark, name)(**settings).to_quantization_spec()

    w = weight(48, 256, torch.float32)
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=256, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, vocab_size=32))
    model.model.layers[0].mlp.gate_proj.weight.data = w.clone()
    layer = quark.QLayerConfig(weight=spec(**weights), input_tensors=spec(**inputs))
    quantizer = ModelQuantizer(quark.QConfig(global_quant_config=layer, exclude=["lm_head"]))
    frozen = quantizer.freeze(quantizer.quantize_model(model, [torch.arange(32)[None]]))
    with tempfile.TemporaryDirectory() as folder:
        export_safetensors(frozen, folder)
        stored = load_file(Path(folder) / "model.safetensors")
    prefix = "model.layers.0.mlp.gate_proj."
    return w, {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


def quark_fp8():
    return quark({"name": "FP8E4M3PerChannelSpec", "is_dynamic": False, "ch_axis": 0},
                 {"name": "FP8E4M3PerChannelSpec", "is_dynamic": True, "ch_axis": 1})


def quark_int8():
    whole = {"is_dynamic": False, "symmetric": True, "scale_type": "float", "round_method": "half_even"}
    return quark({"name": "Int8PerChannelSpec", "ch_axis": 0} | whole,
                 {"name": "Int8PerTensorSpec", "observer_method": "min_max"} | whole)


MAKERS = {
    "mxfp4": mxfp4,
    "eetq": eetq,
    "quanto-int4": lambda: quanto(4, 256),
    "quanto-int4-96": lambda: quanto(4, 192),
    "quanto-int4-rows": lambda: quanto(4, 128),
    "quanto-int2": lambda: quanto(2, 256),
    "quanto-int8": lambda: quanto_bytes("qint8"),
    "quanto-fp8": lambda: quanto_bytes("qfloat8"),
    "torchao-fp8": torchao_fp8,
    "fbgemm-fp8": fbgemm_fp8,
    "hqq-1bit": lambda: hqq(1),
    "hqq-2bit": lambda: hqq(2),
    "hqq-8bit": lambda: hqq(8),
    "quark-fp8": quark_fp8,
    "quark-int8": quark_int8,
    "modelopt-fp8": lambda: modelopt("FP8_DEFAULT_CFG"),
    "modelopt-nvfp4": lambda: modelopt("NVFP4_DEFAULT_CFG"),
}


def write(folder, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")


def main():
    folder = Path(sys.argv[1])
    for name in sys.argv[2:] or MAKERS:
        source, tensors = MAKERS[name]()
        made = {f"linear.{key}": value.contiguous() for key, value in tensors.items()}
        given = {"linear.weight": source}
        write(folder / name, made if "weight" in tensors else given | made)
        if "weight" in tensors:
            write(folder / name / "source", given)


if __name__ == "__main__":
    main()
