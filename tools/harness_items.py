#!/usr/bin/env python3
"""What lm-evaluation-harness makes of the items in golden/tasks: prompts, log-likelihoods and what is right.

    tools/harness_items.py FOLDER > golden/tasks/harness.jsonl

FOLDER is a Hugging Face folder; golden/tasks/harness.jsonl is of golden/tiny/model.onnx as `espalier export
--tokenizer bytes --to hf` writes it. The harness's own definitions of ARC, HellaSwag and Winogrande are used,
with the files here in the place of the data sets; with shots the first items of the same file are the
examples. Needs lm_eval (0.4.13), torch, transformers and datasets.
"""
import json
import os
import sys
import tempfile

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

ITEMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "tasks")
TASKS = {  # name: definition, items in the form that the harness reads, split
    "arc": ("arc/arc_easy.yaml", "arc-flat", "test"),
    "hellaswag": ("hellaswag/hellaswag.yaml", "hellaswag", "validation"),
    "winogrande": ("winogrande/default.yaml", "winogrande", "validation"),
}


def write_definitions(folder):
    definitions = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")
    for name, (base, items, split) in TASKS.items():
        other = "validation" if split == "test" else "test"
        path = os.path.join(os.path.realpath(ITEMS), items + ".jsonl")
        with open(os.path.join(folder, name + ".yaml"), "w") as out:
            out.write(f"""include: {definitions}/{base}
task: own_{name}
tag: own
dataset_path: json
dataset_name: null
dataset_kwargs: {{data_files: {{train: "{path}", {split}: "{path}"}}}}
training_split: train
{split}_split: {split}
{other}_split: null
fewshot_split: train
fewshot_config: {{sampler: first_n}}
""")


def main():
    with tempfile.TemporaryDirectory() as folder:
        write_definitions(folder)
        # texts without a special token need one that begins none of them
        model = HFLM(pretrained=sys.argv[1], dtype="float32", batch_size=1, device="cpu", max_length=4096,
                     prefix_token_id=0)
        for shots in (0, 2):
            results = lm_eval.simple_evaluate(
                model=model, tasks=["own_" + name for name in TASKS], num_fewshot=shots, log_samples=True,
                task_manager=TaskManager(include_path=folder), bootstrap_iters=0)
            for name in TASKS:
                for s in sorted(results["samples"]["own_" + name], key=lambda s: s["doc_id"]):
                    line = {"task": name, "shots": shots, "item": s["doc_id"],
                            "log_likelihoods": [round(r[0][0], 6) for r in s["resps"]], "right": int(s["acc"])}
                    if "acc_norm" in s:
                        line["right_normalised"] = int(s["acc_norm"])
                    if shots == 0:
                        texts = s["arguments"]
                        line["texts"] = [list(t.values()) if isinstance(t, dict) else list(t)
                                         for t in (texts.values() if isinstance(texts, dict) else texts)]
                    print(json.dumps(line, ensure_ascii=False))


main()
