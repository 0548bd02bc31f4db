"""The rows of bench/ops.c in eager PyTorch on the processor. Reads rows from standard input, prints "ROW<tab>seconds" for each,
nothing for ops that PyTorch has no counterpart of. Needs torch; not part of the build.

    python3 bench/ops.py [-t THREADS] < bench/ops.txt
"""
import argparse
import sys
import time

import torch
import torch.nn.functional as F

REPEATS, MINIMUM_SECONDS, IDS = 7, 0.02, 16


def backward(forward, inputs, gradient):
    """What computes the gradients of `inputs`, the forward pass done once beforehand."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    y = forward(*leaves)
    return lambda: torch.autograd.grad(y, leaves, gradient, retain_graph=True)


def heads(x, count):
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def attention(a):
    def forward(q, k, v):
        n, g = int(a["heads"]), int(a["kv_heads"])
        q, k, v = heads(q, n), heads(k, g).repeat_interleave(n // g, 1), heads(v, g).repeat_interleave(n // g, 1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=float(a["scale"])).transpose(1, 2).flatten(2)
    return forward


def kl(student, teacher):
    return F.kl_div(F.log_softmax(student, -1), F.log_softmax(teacher, -1), reduction="sum", log_target=True)


def with_gradient(loss, logits):
    """A loss and the gradient of its logits, as the rows' kernels give both."""
    def both():
        x = logits.detach().requires_grad_()
        return torch.autograd.grad(loss(x), x)
    return both


def adamw(x):
    parameter = torch.nn.Parameter(x[0])
    parameter.grad = x[1]
    return torch.optim.AdamW([parameter], fused=True).step


def rope(x, table):
    cos, sin = table[None, :, 0, None], table[None, :, 1, None]
    a, b = x.unflatten(-1, (-1, 2 * table.shape[-1])).chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).flatten(2)


# op: attributes and operands to what is timed
WORK = {
    "matmul_nt": lambda a, x: lambda: x[0] @ x[1].T,
    "matmul_nn": lambda a, x: lambda: x[0] @ x[1],
    "matmul_tn": lambda a, x: lambda: x[0].T @ x[1],
    "attention": lambda a, x: lambda: attention(a)(*x),
    "attention_grad": lambda a, x: backward(attention(a), x[:3], x[3]),
    "rmsnorm": lambda a, x: lambda: F.rms_norm(x[0], x[1].shape, x[1], float(a["epsilon"])),
    "rmsnorm_grad": lambda a, x: backward(lambda y: F.rms_norm(y, x[1].shape, x[1]), x[:1], x[3]),
    "layernorm": lambda a, x: lambda: F.layer_norm(x[0], x[1].shape, x[1], None, float(a["epsilon"])),
    "rope": lambda a, x: lambda: rope(*x),
    "silu": lambda a, x: lambda: F.silu(x[0]),
    "silu_grad": lambda a, x: backward(F.silu, x[:1], x[1]),
    "gelu": lambda a, x: lambda: F.gelu(x[0]),
    "gelu_tanh": lambda a, x: lambda: F.gelu(x[0], approximate="tanh"),
    "mul": lambda a, x: lambda: x[0] * x[1],
    "add": lambda a, x: lambda: x[0] + x[1],
    "embed": lambda a, x: lambda: F.embedding(x[1], x[0]),
    "embed_grad": lambda a, x: backward(lambda w: F.embedding(x[0], w), [torch.rand(int(a["rows"]), x[1].shape[-1])], x[1]),
    "ce_rows": lambda a, x: with_gradient(lambda y: F.cross_entropy(y, x[1].long(), reduction="sum"), x[0]),
    "kl_rows": lambda a, x: with_gradient(lambda y: kl(y, x[1]), x[0]),
    "adamw": lambda a, x: adamw(x),
}


def operand(word):
    shape = [int(size) for size in word.lstrip("w#").split("x")]
    return torch.randint(IDS, shape) if word[0] == "#" else torch.rand(shape)


def best_seconds(work):
    work()
    best = float("inf")
    for _ in range(REPEATS):
        calls, start = 0, time.perf_counter()
        while time.perf_counter() - start < MINIMUM_SECONDS:
            work()
            calls += 1
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-t", dest="threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for row in map(str.rstrip, sys.stdin):
        if not row or row[0] == "#":
            continue
        op, *words = row.split(" ")
        if op not in WORK:
            continue
        attributes = dict(word.split("=") for word in words if "=" in word)
        work = WORK[op](attributes, [operand(word) for word in words if "=" not in word])
        print(f"{row}\t{best_seconds(work):.9f}", flush=True)


if __name__ == "__main__":
    main()
