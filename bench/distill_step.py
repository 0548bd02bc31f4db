"""The step of bench/distill_step.c in PyTorch, eager or compiled: float32, fused kernels where PyTorch has them (attention,
RMS norm, AdamW). Prints tokens a second of the median step. Needs torch; not part of the build.

    python3 bench/distill_step.py [options as distill_step.c's] [--compile] [TEACHER STUDENT]
"""
import argparse
import statistics
import sys
import time

import torch
import torch.nn.functional as F

WARMUP = 2


class Layer(torch.nn.Module):
    def __init__(self, hidden, heads, kv_heads, head_dim, ffn):
        super().__init__()
        linear = lambda a, b: torch.nn.Linear(a, b, bias=False)
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.attention_norm, self.ffn_norm = torch.nn.RMSNorm(hidden, 1e-5), torch.nn.RMSNorm(hidden, 1e-5)
        self.q, self.o = linear(hidden, heads * head_dim), linear(heads * head_dim, hidden)
        self.k, self.v = linear(hidden, kv_heads * head_dim), linear(hidden, kv_heads * head_dim)
        self.gate, self.up, self.down = linear(hidden, ffn), linear(hidden, ffn), linear(ffn, hidden)

    def rotate(self, x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def forward(self, x, cos, sin):
        b, s, _ = x.shape
        h = self.attention_norm(x)
        split = lambda y, n: y.view(b, s, n, self.head_dim).transpose(1, 2)
        q = self.rotate(split(self.q(h), self.heads), cos, sin)
        k = self.rotate(split(self.k(h), self.kv_heads), cos, sin)
        v = split(self.v(h), self.kv_heads)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, s, -1))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(torch.nn.Module):
    def __init__(self, vocabulary, length, layers, hidden, heads, kv_heads, head_dim, ffn):
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, hidden)
        self.layers = torch.nn.ModuleList(
            Layer(hidden, heads, kv_heads, head_dim, ffn) for _ in range(layers))
        self.norm = torch.nn.RMSNorm(hidden, 1e-5)
        self.head = torch.nn.Linear(hidden, vocabulary, bias=False)
        frequencies = 10000.0 ** (-torch.arange(0, head_dim, 2) / head_dim)
        angles = torch.arange(length)[:, None] * frequencies
        self.cos, self.sin = angles.cos(), angles.sin()

    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return self.head(self.norm(x))


def read_options():
    parser = argparse.ArgumentParser()
    for letter, name, usual in [("t", "threads", 2), ("s", "steps", 9), ("v", "vocabulary", 512), ("b", "batch", 16),
                                ("l", "length", 256)]:
        parser.add_argument(f"-{letter}", dest=name, type=int, default=usual)
    parser.add_argument("--compile", action="store_true")
    shape = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("teacher", nargs="?", type=shape, default=[6, 128, 8, 4, 16, 384])
    parser.add_argument("student", nargs="?", type=shape, default=[6, 96, 6, 3, 16, 256])
    return parser.parse_args()


def main():
    o = read_options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    teacher = Model(o.vocabulary, o.length, *o.teacher).requires_grad_(False)
    student = Model(o.vocabulary, o.length, *o.student)
    optimizer = torch.optim.AdamW(student.parameters(), lr=2.0**-10, weight_decay=0.01, fused=True)

    def divergence(ids):
        with torch.no_grad():
            target = F.log_softmax(teacher(ids), -1)
        return F.kl_div(F.log_softmax(student(ids), -1).flatten(0, 1), target.flatten(0, 1),
                        reduction="batchmean", log_target=True)

    if o.compile:
        divergence = torch.compile(divergence)
    durations = []
    for step in range(WARMUP + o.steps):
        ids = torch.randint(o.vocabulary, (o.batch, o.length))
        start = time.perf_counter()
        loss = divergence(ids)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        durations.append(time.perf_counter() - start)
    count = lambda model: sum(p.numel() for p in model.parameters())
    print(f"teacher {count(teacher)}, student {count(student)} parameters, last loss {loss.item():g}",
          file=sys.stderr)
    print(f"{o.batch * o.length / statistics.median(durations[WARMUP:]):.0f}")


if __name__ == "__main__":
    main()
