/* The architectures of Hugging Face folders, as data (ir/hf_architectures.def). */
#ifndef IR_HF_ARCHITECTURE_H
#define IR_HF_ARCHITECTURE_H

#include "ir/decoder_form.h"

/* When the field sliding_window counts: it does not exist, always, when use_sliding_window says so. */
enum hf_window { WINDOW_NONE, WINDOW_ALWAYS, WINDOW_SWITCHED };

/* What the fields are that a configuration leaves out. */
struct hf_defaults {
    const char *activation;
    const char *gelu; /* what the word "gelu" means instead, or NULL */
    double rotary_fraction;
    bool turns_part;    /* the fraction may be below 1 */
    int64_t head_dim;   /* 0: hidden_size / num_attention_heads */
    int64_t ffn_factor; /* of the hidden size; 0: the MLP's width must be said */
    bool tied, attention_bias, parallel;
    enum hf_window window;
};

/* The names of the fields of sizes, of which there are two sets. */
enum hf_size_field { HF_HIDDEN, HF_LAYERS, HF_HEADS, HF_FFN, HF_CONTEXT, HF_ACTIVATION, HF_SIZE_FIELDS };
enum hf_size_names { SIZES_PLAIN, SIZES_SHORT };
extern const char *const hf_size_names[][HF_SIZE_FIELDS];

/* What a configuration can say, for export. */
struct hf_fields {
    enum hf_size_names sizes;
    const char *epsilon;   /* the field of the norms' epsilon */
    const char *qkv_bias;  /* the field of biases of queries, keys and values; NULL: attention_bias */
    bool has_head_dim;     /* head_dim; else it is hidden_size / num_attention_heads */
    bool has_kv_heads;     /* num_key_value_heads; else there are as many as heads */
    bool divides_hidden;   /* the heads must divide the hidden size whatever head_dim says */
    bool has_short_rotary; /* rotary_pct and rotary_emb_base for partial_rotary_factor and rope_theta */
};

struct hf_architecture {
    const char *name, *model_type;
    struct decoder_form form;
    struct hf_defaults defaults;
    struct hf_fields fields;
};

extern const struct hf_architecture hf_architectures[];
extern const size_t hf_architecture_count;

#endif
