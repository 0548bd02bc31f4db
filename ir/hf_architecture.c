/* See ir/hf_architecture.h. */
#include "ir/hf_architecture.h"
#include <math.h>

// clang-format off
#define FORM(...) {__VA_ARGS__}
#define DEFAULTS(...) {__VA_ARGS__}
#define FIELDS(...) {__VA_ARGS__}
// clang-format on
const struct hf_architecture hf_architectures[] = {
#define HF_ARCHITECTURE(name, model_type, form, defaults, fields) {name, model_type, form, defaults, fields},
#include "ir/hf_architectures.def"
};
const size_t hf_architecture_count = sizeof hf_architectures / sizeof *hf_architectures;

const struct hf_architecture gguf_architectures[] = {
#define GGUF_ARCHITECTURE(name, form, defaults, fields) {name, NULL, form, defaults, fields},
#include "ir/gguf_architectures.def"
};
const size_t gguf_architecture_count = sizeof gguf_architectures / sizeof *gguf_architectures;

const char *const hf_size_names[][HF_SIZE_FIELDS] = {
    [SIZES_PLAIN] = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                     "max_position_embeddings", "hidden_act"},
    [SIZES_SHORT] = {"n_embd", "n_layer", "n_head", "n_inner", "n_positions", "activation_function"},
    [SIZES_BLOOM] = {"hidden_size", "n_layer", "n_head", NULL, "seq_length", NULL},
    [SIZES_FALCON] = {"hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_hidden_size",
                      "max_position_embeddings", "activation"},
    [SIZES_NEO] = {"hidden_size", "num_layers", "num_heads", "intermediate_size", "max_position_embeddings",
                   "activation_function"},
    [SIZES_OPT] = {"hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim",
                   "max_position_embeddings", "activation_function"},
    [SIZES_MPT] = {"d_model", "n_layers", "n_heads", NULL, "max_seq_len", NULL},
    [SIZES_GGUF] = {"embedding_length", "block_count", "attention.head_count", "feed_forward_length",
                    "context_length", NULL},
};

double hf_defaults_scale(const struct hf_defaults *defaults, int64_t layers, int64_t hidden, int64_t heads)
{
    bool is_odd = defaults->odd_layers > 0 && layers == defaults->odd_layers;
    return is_odd ? 1 / sqrt((double)(hidden / heads)) : 0;
}
