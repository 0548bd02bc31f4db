#!/usr/bin/env python3
"""Compares espalier's tokenizers with Hugging Face's library, on the tokenizer.json of many families.

    tools/compare_tokenizers.py --gpt2 VOCAB.json MERGES.txt --llama LLAMA.model [--json NAME=TOKENIZER.json]... [--text FILE]...
        [--only ROW] [--cache FOLDER] [--gguf]
    tools/compare_tokenizers.py --record tests/data/tokenizers

Needs tokenizers, transformers and sentencepiece in the Python that runs it, and out/release/tools/encode_texts. Not part of
any test: what it prints, the table of docs/data.md, is what was seen with the versions that it names. The pieces come from
GPT-2's vocabulary and LLaMA's; the steps before and after them (normaliser, pre-tokeniser, added tokens) are those of the
family in the row. Texts: a megabyte of the files given, Python's own library and C headers in one piece; the same in lines;
every character of Unicode, alone and between others; and what breaks tokenizers (blanks in long runs, control characters,
combining marks in disorder, added tokens side by side). With --gguf the ids are those that llama.cpp gives with the GGUF file that
espalier writes of a small model with the tokenizer: LLAMA in the environment names the program that tools/llama_logits.c becomes.
"""
import argparse
import glob
import hashlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import unicodedata

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

ESPALIER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "out", "espalier")
ENCODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "out", "release", "tools", "encode_texts")
MEGABYTE = 1 << 20

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + TAIL
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL)
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL)
POSSESSIVE = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
              r"|\s+(?!\S)|\s+")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
             r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
DEEPSEEK1 = ["[\r\n]", "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u0370-\u0373\u0386-\u0481\u048a-\u052f]+",
             "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", "\\s+$", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior=behavior, invert=invert)


def bytes_level(**flags):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **flags})


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


def split_then_bytes(pattern):
    return sequence(split(pattern), bytes_level(use_regex=False))


def token(content, **flags):
    return AddedToken(content, **{"normalized": False, "special": True, **flags})


def blanks(normalized):
    return [token(" " * n, special=False, normalized=normalized) for n in range(24, 1, -1)]


TEXT_TOKENS = [token("<|im_start|>"), token("<|im_end|>"), token("<tool>", special=False), token("<think>", special=False, normalized=True)]
STRIPPING = [token("<|system|>", rstrip=True), token("<|user|>", rstrip=True), token("<|end|>", lstrip=True, rstrip=True),
             token("<mask>", lstrip=True), token("word", special=False, single_word=True),
             token("caf\u00e9", special=False, normalized=True, single_word=True), token("  ", special=False, normalized=True)]

# row: (pieces, normalizer, pre-tokenizer, options of the model, added tokens)
NFC, MARK = normalizers.NFC(), "\u2581"
LEGACY = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
FAMILIES = {
    "GPT-2": ("gpt2", None, bytes_level(), {}, []),
    "GPT-NeoX, Pythia, OLMo": ("gpt2", NFC, bytes_level(), {}, blanks(False)),
    "Phi-1, Phi-2": ("gpt2", None, bytes_level(), {}, blanks(True)),
    "OPT, GPT-2 with a space in front": ("gpt2", None, bytes_level(add_prefix_space=True), {}, []),
    "Llama 3, OLMo 2, Phi-4": ("gpt2", None, split_then_bytes(LLAMA3), {"ignore_merges": True}, TEXT_TOKENS),
    "Qwen2, Qwen3": ("gpt2", NFC, split_then_bytes(QWEN2), {}, TEXT_TOKENS),
    "Qwen3.5": ("gpt2", NFC, split_then_bytes(QWEN35), {}, TEXT_TOKENS),
    "gpt-oss, Llama 4": ("gpt2", None, split_then_bytes(O200K), {"ignore_merges": True}, TEXT_TOKENS),
    "Mistral NeMo, Nemotron": ("gpt2", None, split_then_bytes(TEKKEN), {"ignore_merges": True}, TEXT_TOKENS),
    "possessive patterns": ("gpt2", None, split_then_bytes(POSSESSIVE), {}, TEXT_TOKENS),
    "SmolLM, StarCoder": ("gpt2", None, sequence(pre_tokenizers.Digits(individual_digits=True), bytes_level()), {}, TEXT_TOKENS),
    "Command R": ("gpt2", NFC, sequence(pre_tokenizers.Digits(individual_digits=True), bytes_level()), {}, []),
    "Falcon": ("gpt2", None, sequence(pre_tokenizers.Punctuation("contiguous"), bytes_level(), pre_tokenizers.Digits(individual_digits=False),
                                      split("[0-9][0-9][0-9]")), {}, []),
    "BLOOM": ("gpt2", None, split_then_bytes(BLOOM), {}, []),
    "DeepSeek LLM": ("gpt2", None, sequence(*map(split, DEEPSEEK1), pre_tokenizers.Digits(individual_digits=True),
                                            bytes_level(use_regex=False)), {}, TEXT_TOKENS),
    "DeepSeek V3": ("gpt2", normalizers.Sequence([]), sequence(split(r"\p{N}{1,3}"), split(CJK), split(DEEPSEEK3), bytes_level(use_regex=False)), {}, TEXT_TOKENS),
    "NFKC, Claude 2": ("gpt2", normalizers.NFKC(), bytes_level(), {}, []),
    "NFD": ("gpt2", normalizers.NFD(), bytes_level(), {}, []),
    "NFKD": ("gpt2", normalizers.NFKD(), bytes_level(), {}, []),
    "Strip, lower case, no accents": ("gpt2", normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()]), bytes_level(), {}, []),
    "Whitespace": ("gpt2", None, sequence(pre_tokenizers.Whitespace(), bytes_level(use_regex=False)), {}, []),
    "WhitespaceSplit": ("gpt2", None, sequence(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), bytes_level(use_regex=False)), {}, []),
    "stripping added tokens, bytes": ("gpt2", NFC, bytes_level(), {}, STRIPPING),
    "Llama 2, Mistral": ("llama", LEGACY, None, {}, []),
    "Llama 2, not legacy": ("llama", None, pre_tokenizers.Metaspace(MARK, "first", split=False), {}, TEXT_TOKENS),
    "Metaspace, words": ("llama", None, pre_tokenizers.Metaspace(MARK, "always", split=True), {}, TEXT_TOKENS),
    "Metaspace, never": ("llama", None, pre_tokenizers.Metaspace(MARK, "never", split=False), {}, TEXT_TOKENS),
    "Phi-3": ("llama", LEGACY, None, {}, STRIPPING),
    "Gemma": ("llama", normalizers.Replace(" ", MARK), pre_tokenizers.Split(" ", "merged_with_previous"), {}, TEXT_TOKENS),
    "SentencePiece's own rules": ("llama", normalizers.Sequence([normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " "),
                                   normalizers.Replace(" ", MARK), normalizers.Replace(Regex(r"\A" + MARK), MARK * 2)]),
                                  sequence(pre_tokenizers.Metaspace(MARK, "always", split=False)), {}, []),
    "GPT-1, ends of words": ("words", normalizers.Sequence([NFC, normalizers.Lowercase()]), sequence(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()), {"end_of_word_suffix": "</w>"}, []),
    "CLIP, ends of words over bytes": ("bytewords", normalizers.Sequence([NFC, normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
                                       sequence(split(CLIP, "removed", True), bytes_level(use_regex=False)), {"end_of_word_suffix": "</w>"}, []),
    "continued words": ("continued", None, pre_tokenizers.Whitespace(), {"continuing_subword_prefix": "##"}, []),
    "continued words with ends": ("both", None, pre_tokenizers.Whitespace(), {"continuing_subword_prefix": "@@", "end_of_word_suffix": "</w>"}, []),
    "SentencePiece's normal form": ("llama", "nmt_nfkc", pre_tokenizers.Metaspace(MARK, "always", split=False), {}, TEXT_TOKENS),
    "SentencePiece's normal form, folded": ("llama", "nmt_nfkc_cf", pre_tokenizers.Metaspace(MARK, "always", split=True), {}, TEXT_TOKENS),
    "Yi, without byte fallback": ("llama", normalizers.Replace(" ", MARK), None, {"byte_fallback": False}, TEXT_TOKENS),
}


# Rules of a small normal form: what stands for what, as code points.
RULES = ["FF21\t41", "FF42\t62", "E9\t65 301", "65 301\tE9", "AA\t61", "3000\t20", "9\t20", "200B\t", "FB03\t66 66 69", "2460\t31", "D A\t20"]


def charsmap(rule):
    """The map of one of SentencePiece's normal forms, or of RULES, as it writes it into models."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    folder = tempfile.mkdtemp()
    text = os.path.join(folder, "text")
    with open(text, "w") as file:
        file.write("a b c ab bc abc\n" * 50)
    given = {"normalization_rule_name": rule}
    if rule == "small":
        given = {"normalization_rule_tsv": os.path.join(folder, "rules")}
        with open(given["normalization_rule_tsv"], "w") as file:
            file.write("\n".join(RULES) + "\n")
    sentencepiece.SentencePieceTrainer.train(input=text, model_prefix=os.path.join(folder, "m"), vocab_size=9, model_type="bpe",
                                             minloglevel=2, **given)
    proto = sentencepiece_model_pb2.ModelProto()
    with open(os.path.join(folder, "m.model"), "rb") as file:
        proto.ParseFromString(file.read())
    return normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)


def trained(lines, size, pre_tokenizer, normalizer, **flags):
    """Pieces with affixes."""
    result = Tokenizer(models.BPE(unk_token="<unk>", **flags))
    result.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        result.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>"], show_progress=False,
                                  **{key: value for key, value in flags.items() if key != "fuse_unk"})
    result.train_from_iterator(lines, trainer)
    model = json.loads(result.to_str())["model"]
    return dict(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]], unk_token="<unk>")


TRAINED = ["words", "bytewords", "continued", "both"]


def load_trained(pieces):
    """From Python's library."""
    lines = read_files(sorted(glob.glob(os.path.join(sysconfig.get_paths()["stdlib"], "*.py"))), MEGABYTE).split("\n")
    for row in FAMILIES.values():
        if row[0] in TRAINED:
            pieces[row[0]] = trained(lines, 3000, row[2], row[1], **row[3])


def load_pieces(options):
    vocabulary, merges = models.BPE.read_file(*options.gpt2)
    pieces = {"gpt2": dict(vocab=vocabulary, merges=merges)}
    folder = tempfile.mkdtemp()
    os.symlink(os.path.abspath(options.llama), os.path.join(folder, "tokenizer.model"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "LlamaTokenizer"}, file)
    converted = json.loads(transformers.AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())
    model = converted["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    pieces["llama"] = dict(vocab=model["vocab"], merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    return pieces


def make(pieces, row):
    kind, normalizer, pre_tokenizer, flags, added = row
    result = Tokenizer(models.BPE(**{**pieces[kind], **flags}))
    if isinstance(normalizer, str):
        normalizer = charsmap(normalizer)
    if normalizer is not None:
        result.normalizer = normalizer
    if pre_tokenizer is not None:
        result.pre_tokenizer = pre_tokenizer
    result.add_special_tokens(["<s>", "</s>", "<unk>"] if kind in ("llama", "prepend") else ["<|endoftext|>"])
    result.add_tokens(added)
    return result


def read_files(paths, limit):
    parts, size = [], 0
    for path in paths:
        with open(path, "rb") as file:
            text = file.read(limit - size).decode("utf-8", "replace")
        parts.append(text)
        size += len(text.encode())
        if size >= limit:
            break
    return "".join(parts)


def mixed_text(options):
    given = [read_files([path], MEGABYTE // (2 * max(1, len(options.text)))) for path in options.text]
    library = read_files(sorted(glob.glob(os.path.join(sysconfig.get_paths()["stdlib"], "*.py"))), MEGABYTE // 4)
    headers = read_files(sorted(glob.glob("/usr/include/*.h")), MEGABYTE // 4)
    return "\n\n".join(given + [library, headers])


def every_character():
    known = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    alone = ["".join(known[i:i + 64]) for i in range(0, len(known), 64)]
    between = ["".join(f" {c}a{c}1 {c}\n" for c in known[i:i + 16]) for i in range(0, len(known), 16)]
    return alone + between[::3]


def torture():
    pick = random.Random(7)
    pool = ([" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u0085", "\u180e", "\u200b", "\ufeff", "\0", "\x07", "\x7f", "\u2028"] +
            list("aZ09_.,;:!?'\"()[]{}<>|/\\-+=*&^%$#@~`") + ["'s", "'LL", "'\u017f", "\u212a", "word", "caf\u00e9", "cafe\u0301", "123", "1234567", "\u0663", "\u00bd", "\u2460",
            "\u4e2d\u6587", "\u306b\u307b\u3093\u3054", "\ud55c\uad6d\uc5b4", "\u0420\u0443\u0441\u0441\u043a\u0438\u0439", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\u05e2\u05d1\u05e8\u05d9\u05ea",
            "\u0e44\u0e17\u0e22", "\u0939\u093f\u0928\u094d\u0926\u0940", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u0301", "\u0323\u0307", "\u0307\u0323", "\u1e9b\u0323", "\ufb03",
            "\u2581", "\u2581\u2581", "\u01c5", "\u1f88", "\u0130", "\u00df", "\U00010400", "\U000e0041", "\ufffd", "\U0010ffff",
            "<s>", "</s>", "<unk>", "<0x0A>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>", "<think>", "<|system|>", "<|user|>", "<|end|>", "<mask>"])
    texts = ["".join(pick.choice(pool) for _ in range(pick.randrange(1, 24))) for _ in range(4000)]
    texts += ["", " ", "\n", "\u2581", "a" * 100000, " " * 20000, "\n" * 5000, " \n" * 2000, "\t" * 2000 + "x", " " * 2000 + "x", "1" * 20000,
              "ab" * 30000, "\u4e2d" * 20000, "e\u0301" * 20000, "\U0001f468\u200d" * 5000, "." * 20000, "=-" * 10000, "\0" * 1000]
    return texts


def run_espalier(path, texts):
    data = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    done = subprocess.run([ENCODE, path], input=data, capture_output=True)
    messages = done.stderr.decode().splitlines()
    if done.returncode != 0:
        return None, messages[0] if messages else f"status {done.returncode}", 0
    ids, at = [], 0
    for _ in texts:
        count, = struct.unpack_from("<I", done.stdout, at)
        at += 4
        if count == 0xffffffff:
            ids.append(None)
            continue
        ids.append(list(struct.unpack_from(f"<{count}i", done.stdout, at)))
        at += 4 * count
    return ids, "; ".join(messages[:-1][:3]), float(messages[-1].split()[1])


def write_gguf(reference, path):
    """Why it was refused, or None."""
    with tempfile.TemporaryDirectory() as folder:
        size = max(reference.get_vocab().values()) + 1
        config = transformers.LlamaConfig(vocab_size=size, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
        reference.save(os.path.join(folder, "tokenizer.json"))
        done = subprocess.run([ESPALIER, "export", folder, "--to", "gguf", "-o", path], capture_output=True, text=True)
        return done.stderr.splitlines()[0] if done.returncode else None


def run_llama(reference, texts):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        message = write_gguf(reference, path)
        if message:
            return None, message, 0
        data = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
        start = time.perf_counter()
        done = subprocess.run([os.environ["LLAMA"], path, "ids"], input=data, capture_output=True)
        if done.returncode:
            return None, done.stderr.decode().splitlines()[0] if done.stderr else "status %d" % done.returncode, 0
        ids, at = [], 0
        for _ in texts:
            count, = struct.unpack_from("<i", done.stdout, at)
            ids.append(list(struct.unpack_from(f"<{count}i", done.stdout, at + 4)))
            at += 4 + 4 * count
        return ids, "", time.perf_counter() - start


def show(text, ours, theirs, name):
    at = next((i for i, (a, b) in enumerate(zip(ours or [], theirs)) if a != b), min(len(ours or []), len(theirs)))
    print(f"  {name}: {ascii(text)[:200]}\n    id {at}: ours {(ours or ['refused'])[max(0, at - 2):at + 6]}, theirs {theirs[max(0, at - 2):at + 6]}", file=sys.stderr)


def reference_ids(reference, texts, cache):
    """The library's ids of each text, and its seconds; kept in the folder `cache`, because it is slow."""
    key = hashlib.sha256("\0".join([tokenizers.__version__, reference.to_str(), *texts]).encode("utf-8", "surrogatepass")).hexdigest()
    path = cache and os.path.join(cache, key + ".pickle")
    if path and os.path.exists(path):
        with open(path, "rb") as file:
            return pickle.load(file)
    start = time.perf_counter()
    ids = [reference.encode(text, add_special_tokens=False).ids for text in texts]
    result = ids, time.perf_counter() - start
    if path:
        os.makedirs(cache, exist_ok=True)
        with open(path, "wb") as file:
            pickle.dump(result, file)
    return result


def encode(reference, texts, is_gguf):
    if is_gguf:
        return run_llama(reference, texts)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(reference.to_str())
        file.flush()
        return run_espalier(file.name, texts)


def compare(name, reference, texts, cache, is_gguf):
    """Texts that differ, refused texts, seconds of both; None when the file is refused."""
    ours, message, seconds = encode(reference, texts, is_gguf)
    if ours is None:
        print(f"  {name}: {message}", file=sys.stderr)
        return None
    theirs, their_seconds = reference_ids(reference, texts, cache)
    different = [i for i in range(len(texts)) if ours[i] is not None and ours[i] != theirs[i]]
    refused = [i for i in range(len(texts)) if ours[i] is None]
    if message:
        print(f"  {name}: {message}", file=sys.stderr)
    for i in different[:4]:
        show(texts[i], ours[i], theirs[i], name)
    return len(different), len(refused), sum(map(len, theirs)), seconds, their_seconds


# name: (file whose pieces are taken, the rest as in FAMILIES)
RECORDED = {
    "punctuation": ("bytelevel", *FAMILIES["Falcon"][1:4], TEXT_TOKENS),
    "nested": ("bytelevel", *FAMILIES["BLOOM"][1:]),
    "possessive": ("bytelevel", *FAMILIES["possessive patterns"][1:]),
    "whitespace": ("bytelevel", *FAMILIES["Strip, lower case, no accents"][1:2], FAMILIES["WhitespaceSplit"][2], {}, []),
    "words": ("bytelevel", normalizers.NFKC(), FAMILIES["Whitespace"][2], {}, []),
    "stripping": ("bytelevel", *FAMILIES["stripping added tokens, bytes"][1:]),
    "wordends": FAMILIES["GPT-1, ends of words"],
    "byteends": FAMILIES["CLIP, ends of words over bytes"],
    "continued": FAMILIES["continued words with ends"],
    "prefixed": FAMILIES["continued words"],
    "charsmap": ("prepend", "small", FAMILIES["SentencePiece's normal form"][2], {}, []),
    "trimmed": ("prepend", *FAMILIES["SentencePiece's own rules"][1:4], STRIPPING[:-1]),
}


def record(folder):
    """Writes the recorded tokenizers and what the library makes of some texts, for tests/data/test_tokenizer.c."""
    for name, row in RECORDED.items():
        if row[0] in TRAINED:
            record_row(folder, name, row, trained(__doc__.split("\n"), 240, row[2], row[1], **row[3]))
            continue
        with open(os.path.join(folder, row[0] + ".json")) as file:
            model = json.load(file)["model"]
        pieces = dict(vocab=model["vocab"], merges=[tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]])
        if row[0] == "prepend":
            pieces.update(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
        record_row(folder, name, row, pieces)


def record_row(folder, name, row, pieces):
    reference = make({row[0]: pieces}, row)
    reference.save(os.path.join(folder, name + ".json"), pretty=False)
    texts = [text for text in torture() if len(text) < 200][::50][:66] + ["the garden word caf\u00e9 wordy", " " * 70 + "\n" * 9, "0x123456 = 1234567"]
    if row[1] == "small":
        texts[:2] = ["\uff21\uff42 e\u0301 \u00e9\u0301 \u00aa\u0301 \u3000a\tb\u200bc \ufb03 \u2460\r\n\r\n\n", "e\u0301\u0301\u0301\u0301"]
    with open(os.path.join(folder, name + ".cases.jsonl"), "w") as file:
        for text in texts:
            case = {"text": text, "ids": reference.encode(text, add_special_tokens=False).ids}
            file.write(json.dumps(case, separators=(",", ":")) + "\n")


def main():
    if sys.argv[1:2] == ["--record"]:
        return record(sys.argv[2])
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpt2", nargs=2, required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--json", action="append", default=[])
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("--only", default="", help="rows whose name has this")
    parser.add_argument("--cache", help="a folder for what the library gave")
    parser.add_argument("--gguf", action="store_true", help="llama.cpp's ids")
    options = parser.parse_args()
    pieces = load_pieces(options)
    load_trained(pieces)
    rows = {name: make(pieces, row) for name, row in FAMILIES.items()}
    for item in options.json:
        name, path = item.split("=", 1)
        rows[name] = Tokenizer.from_file(path)
    text = mixed_text(options)
    sets = {"mixed": [text], "lines": [line for line in text.split("\n") if line], "characters": every_character(), "torture": torture()}
    sizes = {key: sum(len(t.encode()) for t in value) for key, value in sets.items()}
    print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}; " +
          ", ".join(f"{key}: {len(value)} texts of {sizes[key]} bytes" for key, value in sets.items()) + "\n")
    print("| family | " + " | ".join(sets) + " | ids | MB/s | theirs |\n|" + "---|" * (len(sets) + 4))
    for name, reference in rows.items():
        if options.only not in name:
            continue
        cells, speed = [], None
        for key, texts in sets.items():
            result = compare(f"{name}, {key}", reference, texts, options.cache, options.gguf)
            if result is None:
                cells.append("refused")
                continue
            cells.append("equal" if result[0] == result[1] == 0 else f"{result[0]} differ, {result[1]} refused")
            if key == "mixed":
                speed = (result[2], sizes[key] / result[3] / 1e6, sizes[key] / result[4] / 1e6)
        print(f"| {name} | " + " | ".join(cells) + " | " + ("%d | %.1f | %.1f |" % speed if speed else "- | - | - |"), flush=True)


if __name__ == "__main__":
    main()
