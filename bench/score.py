"""The scores of heads, neurons and embedding channels that bench/score.sh takes, in PyTorch: forward hooks on the sites of Minitron's
section 2.2, mean of absolute values over the sequence, L2 norm over the batch. Prints tokens a second, of random weights and tokens.

    python3 bench/score.py [-t THREADS] [LAYERS,HIDDEN,HEADS,KV_HEADS,HEAD_DIM,FFN]
"""
import argparse
import time

import torch

from distill_step import Model

SAMPLES, BATCH, LENGTH, VOCABULARY = 256, 16, 256, 256


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-t", dest="threads", type=int, default=2)
    parser.add_argument("shape", nargs="?", type=lambda text: [int(part) for part in text.split(",")], default=[4, 96, 6, 3, 16, 256])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    heads = options.shape[2]
    model = Model(VOCABULARY, LENGTH, *options.shape).requires_grad_(False)
    sums = {}

    def watch(name, of):
        def hook(module, inputs, output):
            sums[name] = sums.get(name, 0) + of(inputs[0], output).square().sum(0)
        return hook

    channels = lambda x, y: y.abs().mean(1)
    for i, layer in enumerate(model.layers):
        layer.o.register_forward_hook(watch(f"heads.{i}", lambda x, y: x.unflatten(-1, (heads, -1)).norm(dim=-1).mean(1)))
        layer.down.register_forward_hook(watch(f"neurons.{i}", lambda x, y: x.abs().mean(1)))
        layer.attention_norm.register_forward_hook(watch(f"attention.{i}", channels))
        layer.ffn_norm.register_forward_hook(watch(f"mlp.{i}", channels))
    model(torch.randint(VOCABULARY, (BATCH, LENGTH)))
    start = time.perf_counter()
    for _ in range(SAMPLES // BATCH):
        model(torch.randint(VOCABULARY, (BATCH, LENGTH)))
    print(f"{SAMPLES * LENGTH / (time.perf_counter() - start):.0f}")


if __name__ == "__main__":
    main()
