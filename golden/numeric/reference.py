#!/usr/bin/env python3
"""Trains the small model of tests/train/model.h with PyTorch in double precision and prints what came out as a C header:

    python3 golden/numeric/reference.py > golden/numeric/reference.h

Model, losses and optimizer are written here from the papers, with autograd for the gradients and torch.optim.AdamW for
the update; nothing is shared with espalier but the formula of the weights and of the tokens.
"""
import math
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
STUDENT = dict(layers=2, hidden=24, heads=4, kv=2, dim=6, ffn=40, vocab=67)
TEACHER = dict(STUDENT, layers=3, hidden=36, dim=8)
STEPS, WARMUP, MICROS, ROWS, LENGTH, PEAK = 10, 2, 2, 2, 11, 0.015625
M32 = 0xFFFFFFFF


def mix(u):
    u = ((u ^ u >> 16) * 0x85EBCA6B) & M32
    u = ((u ^ u >> 13) * 0xC2B2AE35) & M32
    return u ^ u >> 16


def tensor(salt, *shape):
    numbers = [(mix((salt * 0x9E3779B9 + i) & M32) >> 8) * 2.0**-23 - 1 for i in range(math.prod(shape))]
    x = torch.tensor(numbers).reshape(shape)
    return 1 + x / 8 if len(shape) == 1 else x / 4


def weights(a, salt):
    """In the order of the graph's tensors; salt + place is each tensor's salt. rotary comes second and is computed."""
    d, q, k = a["hidden"], a["heads"] * a["dim"], a["kv"] * a["dim"]
    names = [("embed", (a["vocab"], d)), ("rotary", None)]
    for i in range(a["layers"]):
        names += [(f"layers.{i}.{n}", s) for n, s in [
            ("attention_norm", (d,)), ("q", (q, d)), ("k", (k, d)), ("v", (k, d)), ("o", (d, q)),
            ("mlp_norm", (d,)), ("gate", (a["ffn"], d)), ("up", (a["ffn"], d)), ("down", (d, a["ffn"]))]]
    names += [("norm", (d,)), ("head", (a["vocab"], d))]
    return {n: tensor(salt + t, *s) for t, (n, s) in enumerate(names) if s}


def norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * w


def rotate(x):
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[1])[:, None] * 10000.0 ** (-torch.arange(half) / half)
    c, s = angle.cos()[None, :, None], angle.sin()[None, :, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * c - b * s, b * c + a * s], -1)


def model(a, w, ids):
    b, s = ids.shape
    x = w["embed"][ids]
    mask = torch.full((s, s), -math.inf).triu(1)
    for i in range(a["layers"]):
        p = lambda n: w[f"layers.{i}.{n}"]
        y = norm(x, p("attention_norm"))
        q = rotate((y @ p("q").T).view(b, s, a["heads"], -1))
        k = rotate((y @ p("k").T).view(b, s, a["kv"], -1))
        v = (y @ p("v").T).view(b, s, a["kv"], -1)
        k, v = (t.repeat_interleave(a["heads"] // a["kv"], 2) for t in (k, v))
        scores = torch.einsum("bihc,bjhc->bhij", q, k) / math.sqrt(a["dim"]) + mask
        o = torch.einsum("bhij,bjhc->bihc", scores.softmax(-1), v).reshape(b, s, -1)
        x = x + o @ p("o").T
        y = norm(x, p("mlp_norm"))
        x = x + (torch.nn.functional.silu(y @ p("gate").T) * (y @ p("up").T)) @ p("down").T
    return norm(x, w["norm"]) @ w["head"].T


def batch(step, micro, vocab):
    ids, labels, counts = [], [], []
    for row in range(ROWS):
        sample = (step * MICROS + micro) * ROWS + row
        token = mix(sample) % vocab
        for i in range(LENGTH):
            noise = mix(sample * 4096 + i + 77)
            following = (5 * token + 7) % vocab if noise % 5 else noise % vocab
            ids.append(token), labels.append(following), counts.append({3: 0.0, 2: 0.5}.get(i % 4, 1.0))
            token = following
    return (torch.tensor(t).view(ROWS, LENGTH) for t in (ids, labels, counts))


def losses(w, teacher, step, micro):
    ids, labels, counts = batch(step, micro, STUDENT["vocab"])
    x = model(STUDENT, w, ids).log_softmax(-1)
    with torch.no_grad():
        y = model(TEACHER, teacher, ids).log_softmax(-1)
    ce = -(x.gather(-1, labels[..., None])[..., 0] * counts).sum()
    kl = ((y.exp() * (y - x)).sum(-1) * counts).sum()
    return kl, ce, counts.sum()


def rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return PEAK * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def fingerprint(x):
    """Plain sum, sum of squares, and a sum with weights that tell places apart."""
    x = x.detach().reshape(-1)
    places = torch.tensor([(mix(i) >> 8) * 2.0**-24 for i in range(x.numel())])
    return [x.sum().item(), (x * x).sum().item(), (x * places).sum().item()]


def train(kl_weight, ce_weight):
    w = {n: t.requires_grad_() for n, t in weights(STUDENT, 1).items()}
    teacher = weights(TEACHER, 1000)
    groups = [dict(params=[t for t in w.values() if t.dim() == 2], weight_decay=0.125),
              dict(params=[t for t in w.values() if t.dim() == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, betas=(0.875, 0.96875), eps=2.0**-20)
    steps, first = [], None
    for step in range(STEPS):
        optimizer.zero_grad()
        kl = ce = total = 0
        for micro in range(MICROS):
            a, b, n = losses(w, teacher, step, micro)
            kl, ce, total = kl + a, ce + b, total + n
        loss = (kl_weight * kl + ce_weight * ce) / total
        loss.backward()
        if first is None:
            first = [fingerprint(t.grad) for t in w.values()]
        length = torch.nn.utils.clip_grad_norm_(list(w.values()), 0.5).item()
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
        steps.append((loss.item(), length))
    return list(w), steps, first, [fingerprint(t) for t in w.values()]


def rows(name, values):
    print(f"        .{name} = {{")
    for value in values:
        print("            {" + ", ".join(f"{x:.17g}" for x in value) + "},")
    print("        },")


runs = [(1.0, 0.0), (0.0, 1.0), (0.75, 0.25)]
results = [train(*run) for run in runs]
print("/* Made by reference.py with PyTorch in double precision: training the small model of tests/train/model.h. */")
print("#ifndef GOLDEN_NUMERIC_REFERENCE_H\n#define GOLDEN_NUMERIC_REFERENCE_H\n// clang-format off")
print(f"enum {{ REFERENCE_RUNS = {len(runs)}, REFERENCE_STEPS = {STEPS}, REFERENCE_PARAMETERS = {len(results[0][0])} }};")
print("struct reference_run {\n    float kl, ce; /* weights of the objectives */")
print("    double steps[REFERENCE_STEPS][2]; /* loss, gradient norm before clipping */")
print("    double gradients[REFERENCE_PARAMETERS][3]; /* of the first step: sum, sum of squares, sum weighted by place */")
print("    double weights[REFERENCE_PARAMETERS][3];   /* after the last step, the same */\n};")
print("static const char *const reference_names[REFERENCE_PARAMETERS] = {")
print("    " + ", ".join(f'"{n}"' for n in results[0][0]) + ",\n};")
print("static const struct reference_run reference_runs[REFERENCE_RUNS] = {")
for (kl, ce), (_, steps, first, last) in zip(runs, results):
    print(f"    {{\n        .kl = {kl}f,\n        .ce = {ce}f,")
    rows("steps", steps)
    rows("gradients", first)
    rows("weights", last)
    print("    },")
print("};\n// clang-format on\n#endif")
