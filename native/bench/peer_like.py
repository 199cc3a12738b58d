"""What quantizers on PyTorch do, for the ratio: GPTQ of the layers of a Llama-3-8B of noise, on one GPU.

Written from the paper (Frantar et al., GPTQ, arXiv 2210.17323, algorithm 1) and from what such programs are known to do: layer after
layer, one sequence at a time through the layer, a Hessian in fp32 (TF32 off) for each linear by itself, two Cholesky factorizations
and an inverse each, columns in blocks of 128 with a loop in Python, four bits in groups of 128 whose scales come from the range, in
the order of falling diagonals; then the sequences once more through the quantized layer. Weights and inputs are made on the GPU:
nothing is read, packed or written, which is in its favour. Not yet run on a GPU.
"""
import argparse
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, default=2, help="that are timed, after one that is not")
parser.add_argument("--tiny", action="store_true", help="small shapes, on a CPU too")
args = parser.parse_args()

if args.tiny:
    HIDDEN, INNER, HEADS, KV, SEQUENCES, LENGTH = 256, 384, 2, 1, 4, 64
else:
    HIDDEN, INNER, HEADS, KV, SEQUENCES, LENGTH = 4096, 14336, 32, 8, 128, 2048
HEAD, GROUP, BLOCK, ALL_LAYERS = 128, 128, 128, 32
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if device.type == "cpu" and not args.tiny:
    raise SystemExit("PyTorch sees no GPU")
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.manual_seed(1)


def settle():
    if device.type == "cuda":
        torch.cuda.synchronize()


class Stopwatch(dict):
    def time(self, name, call):
        settle()
        start = time.perf_counter()
        result = call()
        settle()
        self[name] = self.get(name, 0) + time.perf_counter() - start
        return result


def weights():
    """One layer's: outputs x inputs, bf16."""
    shapes = dict(q=(HEADS * HEAD, HIDDEN), k=(KV * HEAD, HIDDEN), v=(KV * HEAD, HIDDEN), o=(HIDDEN, HEADS * HEAD),
                  gate=(INNER, HIDDEN), up=(INNER, HIDDEN), down=(HIDDEN, INNER))
    return {n: (torch.randn(s, device=device) * 0.02).to(torch.bfloat16) for n, s in shapes.items()}


angles = torch.outer(torch.arange(LENGTH), 500000.0 ** (-torch.arange(0, HEAD, 2) / HEAD)).to(device)
COS, SIN = angles.cos().repeat(1, 2).to(torch.bfloat16), angles.sin().repeat(1, 2).to(torch.bfloat16)


def norm(x):
    y = x.float()
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-5)).to(torch.bfloat16)


def turned(x):
    a, b = x.chunk(2, -1)
    return x * COS + torch.cat((-b, a), -1) * SIN


def forward(x, w, tap):
    """x: LENGTH x HIDDEN, bf16."""

    def linear(name, y):
        tap(name, y)
        return F.linear(y, w[name])

    y = norm(x)
    q, k, v = (linear(n, y).view(LENGTH, -1, HEAD).transpose(0, 1) for n in "qkv")
    q, k = turned(q), turned(k)
    k, v = (t.repeat_interleave(HEADS // KV, 0) for t in (k, v))
    y = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
    x = x + linear("o", y.transpose(0, 1).reshape(LENGTH, -1))
    y = norm(x)
    return x + linear("down", F.silu(linear("gate", y)) * linear("up", y))


def quantized(weight, hessian):
    """The weight on its grid, outputs x inputs; its Hessian is spoiled."""
    w = weight.float()
    n = w.shape[1]
    order = torch.argsort(torch.diag(hessian), descending=True)
    w, h = w[:, order], hessian[order][:, order]
    places = torch.arange(n, device=device)
    h[places, places] += 0.01 * torch.diag(h).mean()
    # inv(H) = U^T U
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    result = torch.zeros_like(w)
    for begin in range(0, n, BLOCK):
        end = min(begin + BLOCK, n)
        block = w[:, begin:end].clone()
        errors = torch.zeros_like(block)
        inside = u[begin:end, begin:end]
        for i in range(end - begin):
            if (begin + i) % GROUP == 0:
                group = w[:, begin + i:begin + i + GROUP]
                scale = group.abs().amax(1).clamp(min=1e-8) / 7.5
            column = block[:, i]
            on_grid = (torch.clamp(torch.round(column / scale) + 8, 0, 15) - 8) * scale
            error = (column - on_grid) / inside[i, i]
            result[:, begin + i] = on_grid
            block[:, i:] -= error[:, None] * inside[i, i:][None, :]
            errors[:, i] = error
        w[:, end:] -= errors @ u[begin:end, end:]
    return result[:, torch.argsort(order)].to(torch.bfloat16)


@torch.no_grad()
def layer(inputs, watch):
    w = weights()
    hessians = {n: torch.zeros(t.shape[1], t.shape[1], device=device) for n, t in w.items()}

    def add(name, y):
        y = y.float()
        hessians[name].addmm_(y.t(), y)

    def gather():
        for x in inputs:
            forward(x, w, add)

    def solve():
        for name in w:
            before = w[name]
            w[name] = quantized(before, hessians.pop(name) / (SEQUENCES * LENGTH))
            distance = ((w[name] - before).float().norm() / before.float().norm()).item()
            if not distance < 0.5:
                raise SystemExit(f"{name} is {distance} away from what it was")

    watch.time("forward and Hessians", gather)
    watch.time("solve", solve)
    return watch.time("second forward", lambda: [forward(x, w, lambda *_: None) for x in inputs])


def main():
    print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, "
          f"{torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'}")
    x = [torch.randn(LENGTH, HIDDEN, device=device).to(torch.bfloat16) for _ in range(SEQUENCES)]
    x = layer(x, Stopwatch())  # libraries and kernels are loaded now
    seconds = []
    for number in range(args.layers):
        watch = Stopwatch()
        settle()
        start = time.perf_counter()
        x = layer(x, watch)
        settle()
        seconds.append(time.perf_counter() - start)
        print(f"layer {number + 1}: {seconds[-1]:.2f} s: " + ", ".join(f"{n} {s:.2f} s" for n, s in watch.items()))
    print(f"projected for {ALL_LAYERS} layers: {ALL_LAYERS * sorted(seconds)[len(seconds) // 2]:.1f} s, not measured as a whole")


main()
