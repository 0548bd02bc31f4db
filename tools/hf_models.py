#!/usr/bin/env python3
"""Prints rows of tests/frontend/models.def: small models that transformers computes in double precision.

    tools/hf_models.py [ROW...]

Needs torch and transformers. Element i of tensor t (in alphabetical order) is ((7919 t + 104729 i) mod 2003) / 2003 - 1/2; of a
vector, 1 + 0.4 times that (tests/frontend/hf_models.h). Not part of any test: the rows are committed.
"""
import json
import sys

import torch
import transformers

TOKENS = [3, 1, 4, 1, 5]
PLAIN = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=32)
GROUPED = dict(PLAIN, num_key_value_heads=1)
FALCON = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_hidden_size=12, max_position_embeddings=32)
ROWS = [  # name of the row, model type, configuration
    ("gemma2", "gemma2", dict(GROUPED, num_hidden_layers=2, head_dim=6, query_pre_attn_scalar=9, sliding_window=3,
                              attn_logit_softcapping=1.5, final_logit_softcapping=2.0)),
    ("gemma3_text", "gemma3_text", dict(GROUPED, num_hidden_layers=2, head_dim=6, query_pre_attn_scalar=6, sliding_window=3,
                                        layer_types=["sliding_attention", "full_attention"])),
    ("smollm3", "smollm3", dict(GROUPED, num_hidden_layers=2, no_rope_layers=[1, 0], pad_token_id=0)),
    ("olmo", "olmo", dict(GROUPED)),
    ("olmo2", "olmo2", dict(GROUPED)),
    ("phi", "phi", dict(GROUPED)),
    ("starcoder2", "starcoder2", dict(GROUPED, sliding_window=3)),
    ("falcon", "falcon", dict(FALCON, num_kv_heads=1, num_attention_heads=4, new_decoder_architecture=True, bias=False)),
    ("falcon", "falcon", dict(FALCON, multi_query=True, new_decoder_architecture=False, bias=False)),
    ("falcon", "falcon", dict(FALCON, multi_query=False, alibi=True, parallel_attn=False, bias=True)),
    ("bloom", "bloom", dict(hidden_size=8, n_layer=1, n_head=2)),
    ("mpt", "mpt", dict(d_model=8, n_layers=1, n_heads=2, max_seq_len=16)),
    ("opt", "opt", dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_dim=12, word_embed_proj_dim=8,
                        max_position_embeddings=16)),
    ("gpt_neo", "gpt_neo", dict(hidden_size=8, num_layers=2, num_heads=2, intermediate_size=12, max_position_embeddings=16,
                                attention_types=[[["global", "local"], 1]], window_size=3)),
]


def fill(model):
    state = model.state_dict()
    tied = getattr(model.config, "tie_word_embeddings", False)
    names = sorted(name for name in state if not (tied and name in ("lm_head.weight", "embed_out.weight")))
    with torch.no_grad():
        for t, name in enumerate(names):
            tensor = state[name]
            i = torch.arange(tensor.numel(), dtype=torch.float64)
            u = (t * 7919 + i * 104729) % 2003 / 2003 - 0.5
            values = (u if tensor.dim() > 1 else 1 + 0.4 * u).float()
            tensor.copy_(values.reshape(tensor.shape).to(tensor.dtype))
    return [(name, list(state[name].shape)) for name in names]


def row(name, kind, settings):
    config = transformers.AutoConfig.for_model(kind, vocab_size=11, **settings)
    torch.manual_seed(0)
    # Eager attention of Falcon adds what ALiBi takes away twice.
    attention = "sdpa" if settings.get("alibi") else "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval().double()
    tensors = fill(model)
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS]), use_cache=False).logits[0, -1]
    config.architectures = [type(model).__name__]
    text = json.dumps({k: v for k, v in json.loads(config.to_json_string()).items() if k != "transformers_version"})
    print('MODEL("%s", "%s",' % (name, text.replace('"', '\\"')))
    lines = ['{"%s", %d, {%s}}' % (key, len(shape), ", ".join(map(str, shape))) for key, shape in tensors]
    print("      TENSORS(%s)," % (",\n              ".join(lines)))
    print("      LOGITS(%s))\n" % ", ".join("%.9g" % x for x in logits))


for entry in ROWS:
    if len(sys.argv) < 2 or entry[0] in sys.argv[1:]:
        row(*entry)
