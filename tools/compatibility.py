#!/usr/bin/env python3
"""Makes docs/compatibility.md: small random models of many families, made by transformers, exported by torch, imported.

    tools/compatibility.py [--rows FILE] [--exporters NAME,NAME] [FAMILY...] > docs/compatibility.md

Needs torch, transformers, onnx, onnxscript, onnxruntime and onnxruntime-genai in the Python that runs it, and out/espalier.
Not part of any test: what it prints is what was seen with the versions that it names. Exporters are torch.onnx's two, the
first of them followed by onnxruntime's optimiser (ort), onnxruntime-genai's builder, which both write fused operators of
com.microsoft, and Hugging Face's optimum, which wants an older transformers: the folder in which `pip install --target` has put
both is named by OPTIMUM in the environment. LLAMA there names the program that tools/llama_logits.c becomes. Rows are kept in FILE, so that a run may do some and print all. Each row: is the file imported; which classes of each layer can be pruned, and of the model; by how much do logits differ in
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
}


# What onnxruntime-genai's builder knows; its attention wants heads of 16 or more channels.
WIDE = dict(PLAIN, hidden_size=64, num_attention_heads=2, num_key_value_heads=1)
BUILT = {
    "llama": ("llama", WIDE),
    "mistral": ("mistral", dict(WIDE, head_dim=32, sliding_window=None)),
    "mistral, window": ("mistral", dict(WIDE, head_dim=32, sliding_window=9)),
    "qwen2": ("qwen2", WIDE),
    "qwen3": ("qwen3", dict(WIDE, head_dim=32, bos_token_id=0, eos_token_id=0)),
    "phi3": ("phi3", dict(WIDE, original_max_position_embeddings=64, pad_token_id=0)),
    "gemma": ("gemma", dict(WIDE, head_dim=32)),
    "nemotron": ("nemotron", dict(WIDE, head_dim=32)),
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


def build(saved, path):
    """onnxruntime-genai's model builder, which wants a tokenizer in the folder."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, []))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(saved)
    folder = os.path.dirname(path)
    subprocess.run([sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", saved, "-i", saved, "-o",
                    os.path.join(folder, "built"), "-p", "fp32", "-e", "cpu", "-c", os.path.join(folder, "cache")],
                   check=True, capture_output=True)
    model = onnx.load(os.path.join(folder, "built", "model.onnx"))
    onnx.save(model, path)  # data inside


OPTIMUM = """import sys
sys.path.insert(0, sys.argv[1])
from optimum.exporters.onnx import main_export
main_export(sys.argv[2], sys.argv[3], task="text-generation-with-past", do_validation=False)
"""


def export_optimum(saved, path):
    """With key-value cache inputs, as users have it."""
    folder = os.path.join(os.path.dirname(path), "optimum")
    done = subprocess.run([sys.executable, "-c", OPTIMUM, os.environ["OPTIMUM"], saved, folder], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    onnx.save(onnx.load(os.path.join(folder, "model.onnx")), path)


def export(model, exporter, path, saved):
    if exporter == "genai":
        return build(saved, path)
    if exporter == "ort":
        export(model, "legacy", path, saved)
        fused = optimizer.optimize_model(path, model_type="gpt2", num_heads=4, hidden_size=32, opt_level=0)
        return fused.save_model_to_file(path)
    ids = torch.randint(0, VOCABULARY, (2, 6))
    arguments = [ids, torch.ones_like(ids), torch.arange(6).repeat(2, 1)][:len(model.names)]
    if exporter == "optimum":
        return export_optimum(saved, path)
    common = dict(input_names=model.names, output_names=["logits"])
    if exporter == "legacy":
        axes = {name: {0: "batch", 1: "sequence"} for name in model.names + ["logits"]}
        torch.onnx.export(model, tuple(arguments), path, dynamic_axes=axes, opset_version=17, dynamo=False, **common)
    else:
        sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("sequence", min=1, max=63)}
        shapes = {name: sizes for name in model.names}
        torch.onnx.export(model, tuple(arguments), path, dynamic_shapes=shapes, dynamo=True, verbose=False, **common)


def logits(path, ids):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {}
    for item in session.get_inputs():
        value = {"attention_mask": np.ones_like(ids), "position_ids": np.tile(np.arange(ids.shape[1]), (len(ids), 1))}
        feed[item.name] = value.get(item.name, ids).astype(np.int64)
        if item.name.startswith("past_key_values"):
            size = item.shape[3] if isinstance(item.shape[3], int) else HEAD_SIZE
            feed[item.name] = np.zeros((len(ids), item.shape[1], 0, size), np.float32)
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
    random, worst = np.random.default_rng(0), 0
    for length in (1, 7, 40):
        ids = random.integers(0, VOCABULARY, (1, length))
        given = np.int32([length]).tobytes() + ids.astype(np.int32).tobytes()
        done = subprocess.run([os.environ["LLAMA"], out], input=given, capture_output=True)
        if done.returncode:
            raise RuntimeError("llama.cpp: " + (done.stderr.decode().strip().splitlines() or ["status %d" % done.returncode])[0])
        found, expected = np.frombuffer(done.stdout, np.float32).reshape(length, -1).astype(np.float64), logits(whole, ids)[0]
        worst = max(worst, np.abs(found - expected).max())
        if worst < 0.01 and not (found.argmax(-1) == expected.argmax(-1)).all():
            raise RuntimeError("llama.cpp chooses another token")
    return worst


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


def short(problem):
    """The end of a long refusal says why."""
    return str(problem).split("The nearest is ")[-1].split("; these are")[0]


def row(name, exporter, folder):
    path, again = os.path.join(folder, "model.onnx"), os.path.join(folder, "again.onnx")
    kind, settings = (BUILT if exporter == "genai" else FAMILIES)[name]
    model, saved = Model(kind, settings), os.path.join(folder, "saved")
    model.inner.save_pretrained(saved)
    try:
        export(model, exporter, path, saved)
    except Exception as problem:  # of the exporter: a row that says so
        return ["not exported"] + [""] * (len(COLUMNS) - 1), [str(problem).split("\n")[0][:200] or type(problem).__name__]
    try:
        shape = json.loads(espalier("inspect", path, "--json").splitlines()[-1])
    except RuntimeError as problem:
        return ["no"] + [""] * (len(COLUMNS) - 1), [str(problem)]
    notes, found, cut = [], {}, os.path.join(folder, "cut.onnx")
    if shape["refused"]:
        notes.append("cannot be pruned: " + ", ".join(item["name"] for item in shape["refused"]))
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
                "cache": lambda: cached_difference(path, folder, whole_of_model(model)),
                "cut, cache": lambda: cached_difference(cut, folder, whole_of_file(cut))}
    for column, measure in measures.items():
        try:
            value = measure()
            found[column] = value if isinstance(value, str) else "%.1e" % value
        except Exception as problem:
            found[column] = "no" if isinstance(problem, RuntimeError) else "failed"
            if short(problem) not in notes:
                notes.append(short(problem) if isinstance(problem, RuntimeError) else str(problem).split("\n")[0])
    return ["yes", classes_of(shape)] + [found[column] for column in COLUMNS[2:]], notes


EXPORTERS = ["legacy", "dynamo", "ort", "genai", "optimum"]


def arguments():
    names, options = [], {"--rows": None, "--exporters": None}
    given = iter(sys.argv[1:])
    for word in given:
        if word in options:
            options[word] = next(given)
        else:
            names.append(word)
    exporters = (options["--exporters"] or ",".join(EXPORTERS)).split(",")
    if "OPTIMUM" not in os.environ:
        exporters = [name for name in exporters if name != "optimum"]
    return names or list(FAMILIES), exporters, options["--rows"]


def print_table(rows, out):
    remarks = []
    versions = ["%s %s" % (m.__name__, m.__version__) for m in (torch, transformers, onnx, onnxruntime, onnxruntime_genai)]
    versions += ["llama.cpp " + llama_version()] if "LLAMA" in os.environ else []
    print("# What imports, and what takes the exports\n\nMade by `tools/compatibility.py` (its head says what the columns are) with %s. "
          "Models are small and have random weights; numbers are differences of logits, or of losses. Remarks are numbered below.\n"
          % ", ".join(versions), file=out)
    head = ["model", "exporter", *COLUMNS, "remarks"]
    lines = [head, ["---"] * len(head)]
    for (name, exporter), (cells, notes) in sorted(rows.items(), key=lambda r: (list(FAMILIES).index(r[0][0]), EXPORTERS.index(r[0][1]))):
        for text in notes:
            if text not in remarks:
                remarks.append(text)
        cells = cells + ["not run" if cells[0] == "yes" else ""] * (len(COLUMNS) - len(cells))  # rows of before a column was
        lines.append([name, exporter, *cells, ", ".join(str(remarks.index(text) + 1) for text in notes)])
    for cells in lines:
        print("| %s |" % " | ".join(cell.replace("|", "\\|") for cell in cells), file=out)
    print("", file=out)
    for number, text in enumerate(remarks, 1):
        print("%d. %s" % (number, text), file=out)


def main():
    warnings.filterwarnings("ignore")
    names, exporters, kept = arguments()
    sys.stdout, out = sys.stderr, sys.stdout  # exporters print
    rows = {}
    if kept and os.path.exists(kept):
        rows = {(name, exporter): (cells, notes) for name, exporter, cells, notes in map(json.loads, open(kept))}
    for name in names:
        for exporter in exporters:
            if name not in {"genai": BUILT, "ort": OPTIMISED}.get(exporter, FAMILIES):
                continue
            with tempfile.TemporaryDirectory() as folder:
                rows[name, exporter] = row(name, exporter, folder)
            if kept:
                with open(kept, "a") as file:
                    print(json.dumps([name, exporter, *rows[name, exporter]]), file=file)
            print(name, exporter, *rows[name, exporter], flush=True)
    print_table(rows, out)


if __name__ == "__main__":
    main()
