#!/usr/bin/env python3
"""Compares what espalier makes of a GGUF file with what transformers makes of it.

    tools/compare_gguf.py MODEL.gguf TEXT [BYTES [LENGTH]]

Needs transformers, gguf, torch, onnxruntime and tokenizers in the Python that runs it, out/espalier and
out/release/tools/encode_texts. Not part of any test. Takes the first BYTES of the text (default 4096) in windows of LENGTH
tokens (default 128). Compared are the ids of the text, every weight of the Hugging Face folder that espalier exports, the
loss that `espalier eval` gives, and the logits of the exported ONNX model in onnxruntime, with transformers' own reading of
the same file in f32.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
import torch
import transformers
from safetensors.torch import load_file

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "out")
ESPALIER, ENCODE = os.path.join(ROOT, "espalier"), os.path.join(ROOT, "release", "tools", "encode_texts")


def espalier(*arguments):
    done = subprocess.run([ESPALIER, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"espalier {' '.join(arguments)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def encode(path, text):
    data = text.encode()
    out = subprocess.run([ENCODE, path], input=struct.pack("<I", len(data)) + data, capture_output=True, check=True).stdout
    return list(struct.unpack(f"<{len(out) // 4 - 1}i", out[4:]))


def compare_weights(model, folder):
    ours, theirs = load_file(os.path.join(folder, "model.safetensors")), model.state_dict()
    worst, compared = 0.0, 0
    for name, value in ours.items():
        worst = max(worst, (value.float() - theirs[name].float()).abs().max().item())
        compared += value.numel()
    missing = [name for name in theirs if name not in ours and name != "lm_head.weight"]
    print(f"weights: {len(ours)} tensors, {compared} elements, largest difference {worst}" + (f", missing {missing}" if missing else ""))


def losses(model, windows):
    total, count, logits = 0.0, 0, []
    with torch.no_grad():
        for window in windows:
            out = model(torch.tensor([window])).logits[0].double()
            total += torch.nn.functional.cross_entropy(out[:-1], torch.tensor(window[1:]), reduction="sum").item()
            count += len(window) - 1
            logits.append(out.numpy())
    return total / count, logits


def compare_logits(path, windows, expected):
    session = onnxruntime.InferenceSession(path)
    worst, scale, same = 0.0, 0.0, []
    for window, theirs in zip(windows, expected):
        ours = session.run(None, {session.get_inputs()[0].name: np.array([window], np.int64)})[0][0].astype(np.float64)
        worst, scale = max(worst, np.abs(ours - theirs).max()), max(scale, np.abs(theirs).max())
        same.append((ours.argmax(-1) == theirs.argmax(-1)).mean())
    print(f"logits: {len(windows)} windows, largest difference {worst:.3g} of {scale:.3g}, the same first choice at {100 * np.mean(same):.2f} % of the places")


def main():
    path, source = sys.argv[1:3]
    size, length = (int(a) for a in (sys.argv[3:] + ["4096", "128"][len(sys.argv) - 3:]))
    folder, name = os.path.split(os.path.abspath(path))
    with open(source, "rb") as file:
        text = file.read(size).decode("utf-8", "ignore")
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}; {name}, {len(text.encode())} bytes of text")
    with tempfile.TemporaryDirectory() as work:
        text_path, exported, onnx_path = os.path.join(work, "text.txt"), os.path.join(work, "hf"), os.path.join(work, "model.onnx")
        with open(text_path, "w") as file:
            file.write(text)
        espalier("export", path, "--to", "hf", "-o", exported)
        espalier("export", path, "--to", "onnx", "-o", onnx_path)
        result = espalier("eval", path, "--text", text_path, "--length", str(length))[-1]
        ours = encode(os.path.join(exported, "tokenizer.json"), text)
        theirs = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name).encode(text, add_special_tokens=False)
        print(f"tokens: {len(ours)} and {len(theirs)}, {'equal' if ours == theirs else 'DIFFERENT'}")
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
        compare_weights(model, exported)
        windows = [ours[i:i + length] for i in range(0, len(ours) - length + 1, length)]
        loss, logits = losses(model, windows)
        print(f"loss: espalier {json.dumps(result)}; transformers {loss:.6f}")
        compare_logits(onnx_path, windows, logits)


if __name__ == "__main__":
    main()
