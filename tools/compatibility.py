#!/usr/bin/env python3
"""Makes docs/compatibility.md: small random models of many families, made by transformers, exported by torch, imported.

    tools/compatibility.py [--rows FILE [--any-build]] [--exporters NAME,NAME] [FAMILY...] > docs/compatibility.md

Needs torch, transformers, onnx, onnxscript, onnxruntime and onnxruntime-genai in the Python that runs it, and out/espalier.
Not part of any test: what it prints is what was seen with the versions that it names. Exporters are torch.onnx's two, the
first of them followed by onnxruntime's optimiser (ort), onnxruntime-genai's builder, which both write fused operators of
com.microsoft, and Hugging Face's optimum, which wants an older transformers: the folder in which `pip install --target` has put
both is named by OPTIMUM in the environment, one with an older onnxruntime-genai (0.11, which that transformers fits) by GENAI. LLAMA there names the program
that tools/llama_logits.c becomes. What has been measured is kept in FILE, row by row and column by column, and not measured again with the same versions,
configuration and program, or, with --any-build, whatever the program: a run may do some rows or columns and print all (what is exported in another way has to be deleted there). Each row: is the file imported; which classes of each layer can be pruned, and of the model; by how much do logits differ in
onnxruntime between the original and what `espalier export` writes as ONNX, at batches and lengths that the exporter did not see;
the same for the file with fused operators;
the twin's loss from onnxruntime's; logits of cut neurons and heads from those of zeroed ones; whether the folder that
transformers saves is read into the same graph, weights included; by how much logits differ when transformers loads the folder that
`espalier export` writes, of the whole model and of the cut one; the architecture of the GGUF file, all names of whose tensors the
Python package gguf knows; by how much logits differ when espalier reads that file again, and when llama.cpp reads the GGUF files of both;
by how much logits differ between transformers, all tokens at once, and the ONNX file with a key-value cache, plain and fused, in onnxruntime: at once,
token by token and in parts, two sequences, also with padding on the left of one (names of inputs and outputs must be those of a source with a cache);
and the same of the cut model, against its ONNX file without a cache. A cell that says no or failed has a remark.
"""
import glob
import hashlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

import gguf
import numpy as np
import onnx
import onnxruntime
import onnxruntime_genai
import tokenizers
import torch
import transformers
from onnxruntime.transformers import optimizer

ESPALIER = os.environ.get("ESPALIER") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "out", "espalier")
VOCABULARY, LENGTH = 256, 16
PLAIN = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64)
GROUPED = dict(PLAIN, num_key_value_heads=2)
FAMILIES = {  # row: model type, configuration
    "gpt2": ("gpt2", dict(n_embd=32, n_layer=2, n_head=4, n_positions=64)),
    "gpt_neo": ("gpt_neo", dict(hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=64,
                                attention_types=[[["global", "local"], 1]], window_size=8)),
    "gpt_neox": ("gpt_neox", PLAIN),
    "phi": ("phi", PLAIN),
    "phi3": ("phi3", dict(GROUPED, original_max_position_embeddings=64, pad_token_id=0)),
    "phi3, part": ("phi3", dict(GROUPED, original_max_position_embeddings=64, pad_token_id=0, partial_rotary_factor=0.5)),
    "qwen2": ("qwen2", GROUPED),
    "qwen3": ("qwen3", dict(GROUPED, head_dim=8)),
    "gemma": ("gemma", dict(GROUPED, head_dim=8)),
    "gemma2": ("gemma2", dict(GROUPED, head_dim=8, query_pre_attn_scalar=8, sliding_window=8, attn_logit_softcapping=1.5,
                              final_logit_softcapping=2.0)),
    "gemma2, 46 layers": ("gemma2", dict(GROUPED, num_hidden_layers=46, head_dim=16, query_pre_attn_scalar=8)),
    "gemma3": ("gemma3_text", dict(GROUPED, num_hidden_layers=3, head_dim=8, query_pre_attn_scalar=8, sliding_window=8,
                                   layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "olmo": ("olmo", PLAIN),
    "olmo2": ("olmo2", PLAIN),
    "opt": ("opt", dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48, word_embed_proj_dim=32,
                        max_position_embeddings=64)),
    "falcon, one key head": ("falcon", dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=False,
                                            new_decoder_architecture=False, multi_query=True)),
    "falcon, groups": ("falcon", dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
                                      alibi=False, new_decoder_architecture=True)),
    "falcon, slopes": ("falcon", dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True, multi_query=False,
                                      new_decoder_architecture=False, parallel_attn=False, bias=True)),
    "bloom": ("bloom", dict(hidden_size=32, n_layer=2, n_head=4)),
    "mpt": ("mpt", dict(d_model=32, n_layers=2, n_heads=4, expansion_ratio=2, max_seq_len=64)),
    "mistral": ("mistral", dict(GROUPED, head_dim=8, sliding_window=None)),
    "mistral, window": ("mistral", dict(GROUPED, head_dim=8, sliding_window=9)),
    "llama": ("llama", GROUPED),
    "smollm3": ("smollm3", dict(GROUPED, num_hidden_layers=4, pad_token_id=0)),
    "nemotron": ("nemotron", dict(GROUPED, head_dim=8)),
    "stablelm": ("stablelm", GROUPED),
    "starcoder2": ("starcoder2", dict(GROUPED, sliding_window=None)),
    # Of architectures that no folder is written for.
    "cohere": ("cohere", GROUPED),
    "ernie4_5": ("ernie4_5", dict(GROUPED, head_dim=8)),
    "glm": ("glm", dict(GROUPED, head_dim=8, pad_token_id=0)),
    "granite": ("granite", GROUPED),
}


# What onnxruntime-genai's builder knows; its attention wants heads of 16 or more channels.
WIDE = dict(PLAIN, hidden_size=64, num_attention_heads=2, num_key_value_heads=1)
PARTS = dict(WIDE, head_dim=32, query_pre_attn_scalar=32, sliding_window=8)
BUILT = {
    "llama": ("llama", WIDE),
    "mistral": ("mistral", dict(WIDE, head_dim=32, sliding_window=None)),
    "mistral, window": ("mistral", dict(WIDE, head_dim=32, sliding_window=9)),
    "qwen2": ("qwen2", WIDE),
    "qwen3": ("qwen3", dict(WIDE, head_dim=32, bos_token_id=0, eos_token_id=0)),
    "phi3": ("phi3", dict(WIDE, original_max_position_embeddings=64, pad_token_id=0)),
    "gemma": ("gemma", dict(WIDE, head_dim=32)),
    "gemma2": ("gemma2", dict(PARTS, attn_logit_softcapping=1.5, final_logit_softcapping=2.0)),
    "gemma3": ("gemma3_text", dict(PARTS, num_hidden_layers=6)),  # the builder knows every sixth layer as a whole one
    "nemotron": ("nemotron", dict(WIDE, head_dim=32)),
    "olmo": ("olmo", WIDE),
    "phi": ("phi", WIDE),
    "smollm3": ("smollm3", dict(WIDE, num_hidden_layers=4, pad_token_id=0)),
    "ernie4_5": ("ernie4_5", dict(WIDE, head_dim=32)),
    "granite": ("granite", WIDE),
}
HEAD_SIZE = 32
# What onnxruntime's optimiser is tried on, after torch.onnx: it fuses norms, activations and rotary embedding.
OPTIMISED = ["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "opt"]


def attention_of(settings):
    """Eager attention of Falcon adds what ALiBi takes away twice; the other kind knows no soft caps."""
    return "sdpa" if settings.get("alibi") else "eager"


class Model(torch.nn.Module):
    def __init__(self, kind, settings):
        super().__init__()
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(kind, vocab_size=VOCABULARY, **settings)
        self.inner = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention_of(settings)).eval().float()
        self.names = ["input_ids", "attention_mask"]
        if "position_ids" in inspect.signature(self.inner.forward).parameters:
            self.names.append("position_ids")
        with torch.no_grad():  # so that a norm's weight, a bias or a projection left out shows
            for parameter in self.inner.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
                else:
                    parameter.mul_(4)

    def forward(self, input_ids, attention_mask, position_ids=None):
        more = {"position_ids": position_ids} if "position_ids" in self.names else {}
        return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **more).logits


def last_line(text):
    return (text.strip().splitlines() or ["no message"])[-1]


def older_builder():
    return os.pathsep.join([os.environ["GENAI"], os.environ["OPTIMUM"]])


def build(saved, path):
    """onnxruntime-genai's model builder, which wants a tokenizer in the folder; a note says that it was the older one."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, []))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(saved)
    config = os.path.join(saved, "tokenizer_config.json")
    given = json.load(open(config))
    with open(config, "w") as file:  # an older transformers does not know the newer class
        json.dump(dict(given, tokenizer_class="PreTrainedTokenizerFast"), file)
    folder = os.path.dirname(path)
    ways = [{}] + ([{"PYTHONPATH": older_builder()}] if "GENAI" in os.environ and "OPTIMUM" in os.environ else [])
    for more in ways:
        out = os.path.join(folder, "built")
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run([sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", saved, "-i", saved, "-o", out, "-p", "fp32",
                               "-e", "cpu", "-c", os.path.join(folder, "cache")], capture_output=True, text=True, env={**os.environ, **more})
        if done.returncode == 0:
            break
        first = first if more else last_line(done.stderr)
    else:
        raise ValueError(first)
    onnx.save(onnx.load(os.path.join(folder, "built", "model.onnx")), path)  # data inside
    return ["by the older builder, where the newer fails with " + first] if more else []


OPTIMUM = """import sys
sys.path.insert(0, sys.argv[1])
from optimum.exporters.onnx import main_export, onnx_export_from_model
from optimum.exporters.onnx.model_configs import MistralOnnxConfig
from transformers import AutoConfig, AutoModelForCausalLM
saved, out, kind, task = sys.argv[2:]
more = {}
if kind == "starcoder2":  # of which optimum knows nothing; its documentation says to give it a description
    more["custom_onnx_configs"] = {"model": MistralOnnxConfig(AutoConfig.from_pretrained(saved), task="text-generation", use_past=True,
                                                              use_past_in_inputs=True)}
if kind == "gemma2":  # other kinds of attention leave its soft caps out
    model = AutoModelForCausalLM.from_pretrained(saved, attn_implementation="eager")
    onnx_export_from_model(model=model, output=out, task=task, do_validation=False)
else:
    main_export(saved, out, task=task, do_validation=False, **more)
"""
OPTIMUM_NOTES = {"starcoder2": "optimum does not know it, and was given its description of Mistral",
                 "gemma2": "loaded with attn_implementation=eager: optimum leaves soft caps out otherwise"}


def export_optimum(saved, path, kind):
    """With key-value cache inputs, as users have it, where optimum can."""
    folder, notes = os.path.join(os.path.dirname(path), "optimum"), []
    for task in ("text-generation-with-past", "text-generation"):
        done = subprocess.run([sys.executable, "-c", OPTIMUM, os.environ["OPTIMUM"], saved, folder, kind, task], capture_output=True, text=True)
        if done.returncode == 0:
            break
        notes.append("without a cache: with one, optimum fails with " + last_line(done.stderr))
    else:
        raise ValueError(last_line(done.stderr))
    onnx.save(onnx.load(os.path.join(folder, "model.onnx")), path)
    return notes + ([OPTIMUM_NOTES[kind]] if kind in OPTIMUM_NOTES else [])


def export(model, exporter, path, saved):
    """Writes the file; what should be known of how."""
    if exporter == "genai":
        return build(saved, path)
    if exporter == "ort":
        export(model, "legacy", path, saved)
        fused = optimizer.optimize_model(path, model_type="gpt2", num_heads=4, hidden_size=32, opt_level=0)
        fused.save_model_to_file(path)
        return []
    ids = torch.randint(0, VOCABULARY, (2, 6))
    arguments = [ids, torch.ones_like(ids), torch.arange(6).repeat(2, 1)][:len(model.names)]
    if exporter == "optimum":
        return export_optimum(saved, path, model.inner.config.model_type)
    common = dict(input_names=model.names, output_names=["logits"])
    if exporter == "legacy":
        axes = {name: {0: "batch", 1: "sequence"} for name in model.names + ["logits"]}
        torch.onnx.export(model, tuple(arguments), path, dynamic_axes=axes, opset_version=17, dynamo=False, **common)
    else:
        sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("sequence", min=1, max=63)}
        shapes = {name: sizes for name in model.names}
        torch.onnx.export(model, tuple(arguments), path, dynamic_shapes=shapes, dynamo=True, verbose=False, **common)
    return []


def logits(path, ids):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {}
    windowed = any("past_sliding_length" in item.shape for item in session.get_inputs())  # buffers of which seqlens_k says how much is used
    for item in session.get_inputs():
        value = {"attention_mask": np.ones_like(ids), "position_ids": np.tile(np.arange(ids.shape[1]), (len(ids), 1))}
        feed[item.name] = value.get(item.name, ids).astype(np.int64)
        if item.name.startswith("past_key_values"):
            size = item.shape[3] if isinstance(item.shape[3], int) else HEAD_SIZE
            feed[item.name] = np.zeros((len(ids), item.shape[1], 64 if windowed else 0, size), np.float32)
    return session.run(["logits"], feed)[0].astype(np.float64)


def difference(a, b):
    random = np.random.default_rng(0)
    return max(np.abs(logits(a, ids) - logits(b, ids)).max()
               for ids in (random.integers(0, VOCABULARY, shape) for shape in [(1, 1), (3, 7), (1, 40), (4, 23)]))


def espalier(*arguments):
    done = subprocess.run([ESPALIER, *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("note")]
        raise RuntimeError(lines[0].removeprefix("error: ") if lines else "exit status %d" % done.returncode)
    return done.stdout


def loss_difference(path, folder):
    """The twin's loss per token over windows of random letters, against onnxruntime's."""
    text = np.random.default_rng(1).integers(97, 123, 40 * LENGTH).astype(np.uint8)
    text.tofile(os.path.join(folder, "text"))
    found = json.loads(espalier("eval", path, "--text", os.path.join(folder, "text"), "--tokenizer", "bytes", "--length",
                                str(LENGTH), "--join", "none", "--device", "cpu", "--json", "--store",
                                os.path.join(folder, "store")).splitlines()[-1])["loss"]
    windows = text.astype(np.int64).reshape(-1, LENGTH)
    scores = logits(path, windows)
    scores -= scores.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return abs(found + np.take_along_axis(scores[:, :-1], windows[:, 1:, None], -1).mean())


def zero_rows(model, ending, gone, layers):
    """Zeroes the given shares of the rows of each weight [in, out] of that name."""
    zeroed = 0
    for tensor in model.graph.initializer:
        if tensor.name.endswith(ending):
            values = onnx.numpy_helper.to_array(tensor).copy()
            parts = values.reshape(gone[1], -1, values.shape[1])
            parts[gone[0]] = 0
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
            zeroed += 1
    if zeroed != layers:
        raise RuntimeError("%d weights %s found for %d layers" % (zeroed, ending, layers))


def mask_difference(path, whole, folder):
    """Every third MLP neuron and the last key-value head cut off, against the same zeroed in what reads them."""
    shape = json.loads(espalier("inspect", path, "--json").splitlines()[-1])
    gone = [i for i in range(shape["ffn"]) if i % 3 == 1]
    keep = [i for i in range(shape["ffn"]) if i % 3 != 1]
    cut, masked = os.path.join(folder, "cut.onnx"), os.path.join(folder, "masked.onnx")
    heads, both = shape["kv_heads"], os.path.join(folder, "both.onnx")
    passes = "prune_ffn{keep=%s}" % "+".join(map(str, keep))
    espalier("opt", path, "--passes", passes, "-o", cut)
    model = onnx.load(whole)
    zero_rows(model, ".down", (gone, shape["ffn"]), shape["layers"])
    if heads > 1:
        passes += " prune_kv_heads{keep=%s}" % "+".join(map(str, range(heads - 1)))
        zero_rows(model, ".o", ([heads - 1], heads), shape["layers"])
    espalier("opt", path, "--passes", passes, "-o", both)
    onnx.save(model, masked)
    return difference(both, masked)


def gguf_names(path, folder):
    """The architecture of the GGUF file; its tensors must have names that the Python package gives it."""
    out = os.path.join(folder, "model.gguf")
    espalier("export", path, "--to", "gguf", "-o", out)
    reader = gguf.GGUFReader(out)
    name = bytes(reader.fields["general.architecture"].parts[-1]).decode()
    known = [key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == name]
    patterns = [re.escape(gguf.TENSOR_NAMES[t]).replace(r"\{bid\}", r"\d+") for t in gguf.MODEL_TENSORS[known[0]]]
    for tensor in reader.tensors:
        if not any(re.fullmatch(p + r"\.(weight|bias)", tensor.name) for p in patterns):
            raise RuntimeError("%s has no tensor %s" % (name, tensor.name))
    return name


def fused_difference(path, whole, folder):
    """Logits of the ONNX file with the operators of opset 23, which must be read as the same model again."""
    out, again = os.path.join(folder, "fused.onnx"), os.path.join(folder, "refused.onnx")
    espalier("export", path, "--to", "onnx_fused", "-o", out)
    espalier("export", out, "--to", "onnx", "-o", again)
    if open(again, "rb").read() != open(whole, "rb").read():
        raise RuntimeError("onnx_fused is read as another model")
    return difference(whole, out)


def gguf_difference(path, whole, folder):
    """Logits of the GGUF file, read again, against those of the ONNX file."""
    out, again = os.path.join(folder, "reread.gguf"), os.path.join(folder, "reread.onnx")
    espalier("export", path, "--to", "gguf", "-o", out)
    espalier("export", out, "--to", "onnx", "-o", again)
    return difference(whole, again)


def llama_version():
    return subprocess.run([os.environ["LLAMA"]], capture_output=True, text=True, check=True).stdout.strip()


def llama_difference(path, whole, folder):
    """Logits of the GGUF file that is written, in llama.cpp, against the ONNX file that is written; the choices must be the same."""
    if "LLAMA" not in os.environ:
        return "not run"
    out = os.path.join(folder, "llama.gguf")
    espalier("export", path, "--to", "gguf", "-o", out)
    random, worst, others = np.random.default_rng(0), 0, []
    for length in (1, 7, 40):
        ids = random.integers(0, VOCABULARY, (1, length))
        given = np.int32([length]).tobytes() + ids.astype(np.int32).tobytes()
        done = subprocess.run([os.environ["LLAMA"], out], input=given, capture_output=True)
        if done.returncode:
            raise RuntimeError("llama.cpp: " + (done.stderr.decode().strip().splitlines() or ["status %d" % done.returncode])[0])
        found, expected = np.frombuffer(done.stdout, np.float32).reshape(length, -1).astype(np.float64), logits(whole, ids)[0]
        worst = max(worst, np.abs(found - expected).max())
        chosen = np.take_along_axis(expected, found.argmax(-1)[:, None], -1)[:, 0]
        others.append((expected.max(-1) - chosen).max())
    return worst, ["llama.cpp chooses another token, whose logit is %.1e less" % max(others)] if max(others) > 0 and worst < 0.01 else []


def classes_of(shape):
    """What can be pruned, each name once: h heads of a group, g key-value heads, v channels of values, ..."""
    names = {item["name"].split(".")[-1] for item in shape["classes"]}
    return ", ".join(sorted(names))


def bare_bytes(path, out):
    """Of the ONNX file with tokens and logits alone, without what the source said of itself."""
    espalier("export", path, "--to", "onnx", "--interface", "tokens", "-o", out)
    model = onnx.load(out)
    for field in ("metadata_props", "doc_string", "domain", "model_version"):
        model.ClearField(field)
    return model.SerializeToString()


def same_graph(saved, path, folder):
    """The folder's graph and the file's, written as ONNX: equal bytes, or not."""
    try:
        other = bare_bytes(saved, os.path.join(folder, "folder.onnx"))
    except RuntimeError:
        return "refused"
    return "the same" if other == bare_bytes(path, os.path.join(folder, "file.onnx")) else "another"


def run_cached(session, ids, mask, cuts):
    """Logits of all tokens, given `cuts` at a time, each time with the keys and values that came out before."""
    given = {"input_ids": ids, "position_ids": np.maximum(np.cumsum(mask, 1) - 1, 0)}
    past, found, at = {}, [], 0
    names = [item.name for item in session.get_outputs()]
    for count in cuts:
        feed = {}
        for item in session.get_inputs():
            if item.name in given:
                feed[item.name] = given[item.name][:, at:at + count]
            elif "mask" in item.name:
                feed[item.name] = mask[:, :at + count]
            else:
                empty = [len(ids)] + [size if isinstance(size, int) else 0 for size in item.shape[1:]]
                feed[item.name] = past.get(item.name, np.zeros(empty, np.float32))
        values = dict(zip(names, session.run(None, feed)))
        found.append(values.pop("logits"))
        past = {name.replace("present", "past_key_values"): value for name, value in values.items()}
        at += count
    return np.concatenate(found, 1).astype(np.float64)


def check_names(path, session):
    """A file that had a cache has it again under the same names."""
    source = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name for tensor in source.initializer}
    inputs = {item.name for item in source.input} - weights
    if any(name.startswith("past") for name in inputs):
        if inputs != {item.name for item in session.get_inputs()}:
            raise RuntimeError("the inputs are not those of the source")
        if {item.name for item in source.output} != {item.name for item in session.get_outputs()}:
            raise RuntimeError("the outputs are not those of the source")


def cached_difference(path, folder, whole):
    """Logits of the file with a cache against whole(ids, mask); those of padded tokens count for nothing."""
    random, worst = np.random.default_rng(2), 0
    for form in ("onnx", "onnx_fused"):
        out = os.path.join(folder, form + "-cached.onnx")
        espalier("export", path, "--to", form, "--interface", "cache", "-o", out)
        onnx.checker.check_model(out)
        session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
        check_names(path, session)
        can_pad = "attention_mask" in [item.name for item in session.get_inputs()]
        for length, cuts in [(1, [1]), (7, [1] * 7), (24, [24]), (24, [5, 1, 1, 10, 7]), (40, [16] + [1] * 24)]:
            ids = random.integers(0, VOCABULARY, (2, length))
            for padding in (0, 3) if length > 7 and can_pad else (0,):
                mask = np.ones_like(ids)
                mask[0, :padding] = 0
                worst = max(worst, np.abs(run_cached(session, ids, mask, cuts) - whole(ids, mask))[mask == 1].max())
    return worst


def whole_of_model(model):
    def whole(ids, mask):
        model.eval()  # torch.onnx leaves it as it was made
        positions = torch.tensor(np.maximum(np.cumsum(mask, 1) - 1, 0))
        with torch.no_grad():
            return model(torch.tensor(ids), torch.tensor(mask), positions).double().numpy()
    return whole


def whole_of_file(path):
    """Without a mask or a cache: a padded sequence is the sequence without its padding."""
    bare = path.replace(".onnx", "-bare.onnx")

    def whole(ids, mask):
        espalier("export", path, "--to", "onnx", "--interface", "tokens", "-o", bare)
        found = []
        for row, shown in zip(ids, mask):
            padding = int((shown == 0).sum())
            own = logits(bare, row[None, padding:])[0]
            found.append(np.concatenate([np.zeros((padding, own.shape[1])), own]))
        return np.stack(found)
    return whole


def cache_cell(path, folder, model):
    """Where an exporter wrote another model than transformers has, the difference from its own file says what the cache does."""
    worst = cached_difference(path, folder, whole_of_model(model))
    if worst < 1e-4:
        return worst
    return worst, ["with a cache: what was exported is another model than that of transformers; from the file itself, without a cache, "
                   "the logits with one differ by %.1e" % cached_difference(path, folder, whole_of_file(path))]


def reload_difference(path, whole, folder):
    """Logits of the folder that is written, in transformers, against the ONNX file that is written."""
    out = os.path.join(folder, "written")
    shutil.rmtree(out, ignore_errors=True)
    espalier("export", path, "--to", "hf", "-o", out)
    attention = attention_of(json.load(open(os.path.join(out, "config.json"))))
    model = transformers.AutoModelForCausalLM.from_pretrained(out, attn_implementation=attention).eval().float()
    random = np.random.default_rng(0)
    worst = 0
    for shape in [(1, 1), (3, 7), (1, 40)]:
        ids = random.integers(0, VOCABULARY, shape)
        with torch.no_grad():
            worst = max(worst, np.abs(model(torch.tensor(ids)).logits.double().numpy() - logits(whole, ids)).max())
    return worst


COLUMNS = ["imports", "classes", "loss of the twin", "cut against zeroed", "ONNX", "fused ONNX", "folder", "transformers", "cut, transformers", "GGUF",
           "GGUF, read", "llama.cpp", "cut, llama.cpp", "cache", "cut, cache"]


def is_run(path):
    try:
        return logits(path, np.zeros((1, 3), np.int64)) is not None
    except Exception:
        return False


MAKERS = ["ONNX", "cut against zeroed"]  # which write the files that others read


def short(problem):
    """The end of a long refusal says why."""
    return str(problem).split("The nearest is ")[-1].split("; these are")[0]


def row(name, exporter, folder, kept):
    """The cells and the notes of each, of columns that `kept` does not have."""
    path, again = os.path.join(folder, "model.onnx"), os.path.join(folder, "again.onnx")
    kind, settings = (BUILT if exporter == "genai" else FAMILIES)[name]
    model, saved = Model(kind, settings), os.path.join(folder, "saved")
    model.inner.save_pretrained(saved)
    try:
        notes = export(model, exporter, path, saved)
    except Exception as problem:  # of the exporter: a row that says so
        return {"imports": ["not exported", [str(problem).split("\n")[0].split(" Please refer")[0][:200] or type(problem).__name__]]}
    try:
        shape = json.loads(espalier("inspect", path, "--json").splitlines()[-1])
    except RuntimeError as problem:
        return {"imports": ["no", notes + [str(problem) + ("" if is_run(path) else "; onnxruntime does not run it either")]]}
    cut = os.path.join(folder, "cut.onnx")
    if shape["refused"]:
        notes.append("cannot be pruned: " + ", ".join(item["name"] for item in shape["refused"]))
    found = {"imports": ["yes", notes], "classes": [classes_of(shape), []]}
    measures = {"ONNX": lambda: (espalier("export", path, "--to", "onnx", "-o", again), difference(path, again))[1],
                "fused ONNX": lambda: fused_difference(path, again, folder),
                "loss of the twin": lambda: loss_difference(path, folder),
                "cut against zeroed": lambda: mask_difference(path, again, folder),
                "folder": lambda: same_graph(saved, path, folder),
                "transformers": lambda: reload_difference(path, again, folder),
                "cut, transformers": lambda: reload_difference(cut, cut, folder),
                "GGUF": lambda: gguf_names(path, folder),
                "GGUF, read": lambda: gguf_difference(path, again, folder),
                "llama.cpp": lambda: llama_difference(path, again, folder),
                "cut, llama.cpp": lambda: llama_difference(cut, cut, folder),
                "cache": lambda: cache_cell(path, folder, model),
                "cut, cache": lambda: cached_difference(cut, folder, whole_of_file(cut))}
    for column, measure in measures.items():
        if column in kept and column not in MAKERS:
            continue
        try:
            value = measure()
            value, remarks = value if isinstance(value, tuple) else (value, [])
            found[column] = [value if isinstance(value, str) else "%.1e" % value, remarks]
        except Exception as problem:
            is_ours = isinstance(problem, RuntimeError)
            found[column] = ["no" if is_ours else "failed", [short(problem) if is_ours else str(problem).split("\n")[0]]]
    return found


EXPORTERS = ["legacy", "dynamo", "ort", "genai", "optimum"]


def arguments():
    names, options = [], {"--rows": None, "--exporters": None, "--any-build": False}
    given = iter(sys.argv[1:])
    for word in given:
        if word in options:
            options[word] = True if word == "--any-build" else next(given)
        else:
            names.append(word)
    exporters = (options["--exporters"] or ",".join(EXPORTERS)).split(",")
    if "OPTIMUM" not in os.environ:
        exporters = [name for name in exporters if name != "optimum"]
    return names or list(FAMILIES), exporters, options["--rows"], options["--any-build"]


def versions():
    found = ["%s %s" % (m.__name__, m.__version__) for m in (torch, transformers, onnx, onnxruntime, onnxruntime_genai)]
    for folder in ("OPTIMUM", "GENAI"):
        installed = glob.glob(os.path.join(os.environ[folder], "*.dist-info")) if folder in os.environ else []
        found += [os.path.basename(path).removesuffix(".dist-info").replace("-", " ") for path in sorted(installed)
                  if re.match("optimum|onnxruntime_genai|transformers", os.path.basename(path))]
    return found + (["llama.cpp " + llama_version()] if "LLAMA" in os.environ else [])


def key_of(name, exporter, is_any_build):
    """Of what a row's cells depend on."""
    program = "" if is_any_build else hashlib.sha256(open(ESPALIER, "rb").read()).hexdigest()
    return json.dumps([versions(), exporter, (BUILT if exporter == "genai" else FAMILIES)[name], program])


def print_table(rows, out):
    remarks = []
    print("# What imports, and what takes the exports\n\nMade by `tools/compatibility.py` (its head says what the columns are) with %s. "
          "Models are small and have random weights; numbers are differences of logits, or of losses. Remarks are numbered below.\n"
          % ", ".join(versions()), file=out)
    head = ["model", "exporter", *COLUMNS, "remarks"]
    lines = [head, ["---"] * len(head)]
    for (name, exporter), found in sorted(rows.items(), key=lambda r: (list(FAMILIES).index(r[0][0]), EXPORTERS.index(r[0][1]))):
        missing = ["not run" if found.get("imports", [""])[0] == "yes" else "", []]  # of before a column was
        cells = [found.get(column, missing)[0] for column in COLUMNS]
        notes = list(dict.fromkeys(text for column in COLUMNS for text in found.get(column, ["", []])[1]))
        remarks += [text for text in notes if text not in remarks]
        lines.append([name, exporter, *cells, ", ".join(str(remarks.index(text) + 1) for text in notes)])
    for cells in lines:
        print("| %s |" % " | ".join(cell.replace("|", "\\|") for cell in cells), file=out)
    print("", file=out)
    for number, text in enumerate(remarks, 1):
        print("%d. %s" % (number, text), file=out)


def is_complete(found):
    return bool(found) and (found["imports"][0] != "yes" or all(column in found for column in COLUMNS))


def main():
    warnings.filterwarnings("ignore")
    names, exporters, file_of_rows, is_any_build = arguments()
    sys.stdout, out = sys.stderr, sys.stdout  # exporters print
    kept, rows = {}, {}
    if file_of_rows and os.path.exists(file_of_rows):
        for name, exporter, key, key_of_any, found in map(json.loads, open(file_of_rows)):
            kept[name, exporter, key_of_any if is_any_build else key] = rows[name, exporter] = found
    for name in names:
        for exporter in exporters:
            if name not in {"genai": BUILT, "ort": OPTIMISED}.get(exporter, FAMILIES):
                continue
            found = kept.get((name, exporter, key_of(name, exporter, is_any_build)), {})
            if is_complete(found):
                rows[name, exporter] = found
                continue
            with tempfile.TemporaryDirectory() as folder:
                found = rows[name, exporter] = {**found, **row(name, exporter, folder, found)}
            if file_of_rows:
                with open(file_of_rows, "a") as file:
                    print(json.dumps([name, exporter, key_of(name, exporter, False), key_of(name, exporter, True), found]), file=file)
            print(name, exporter, found, flush=True)
    print_table(rows, out)


if __name__ == "__main__":
    main()
