/* The architectures of Hugging Face folders, as data (ir/hf_architectures.def). */
#ifndef IR_HF_ARCHITECTURE_H
#define IR_HF_ARCHITECTURE_H

#include "ir/decoder_form.h"

/* Which layers have the window of the field of windows, unless a list says so: there is no such field; all;
 * all when use_sliding_window says so; all but every n-th. */
enum hf_window { WINDOW_NONE, WINDOW_ALWAYS, WINDOW_SWITCHED, WINDOW_PATTERN };

/* How a configuration says which layers have it: not at all; layer_types; attention_types of GPT-Neo; by the
 * n of "all but every n-th". */
enum hf_layer_list { LAYERS_ALIKE, LAYERS_TYPED, LAYERS_COUNTED, LAYERS_PERIODIC };

/* Which caps there are: none; any of scores and logits; always both; of logits, or none. */
enum hf_caps { CAPS_NONE, CAPS_ANY, CAPS_BOTH, CAPS_LOGITS };

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
    int64_t window_size, window_pattern; /* every n-th layer sees all */
    int64_t bare_interval;               /* every n-th layer is not rotated; 0: all are */
    double epsilon;                      /* 0: must be said */
    double softcap, logit_softcap;       /* 0: none */
    double query_scalar;       /* the scale of the scores is its inverse square root; 0: of head_dim */
    double theta, local_theta; /* 0: 10000; of layers with a window, 0: as the others */
    int64_t odd_layers;        /* so many layers have the scale (hidden size / heads)^-0.5; 0: none */
    int64_t padding;           /* pad_token_id, which must be below the vocabulary's size; 0: any is */
};

/* The names of the fields of sizes; NULL where a configuration has none. */
enum hf_size_field { HF_HIDDEN, HF_LAYERS, HF_HEADS, HF_FFN, HF_CONTEXT, HF_ACTIVATION, HF_SIZE_FIELDS };
enum hf_size_names {
    SIZES_PLAIN,
    SIZES_SHORT,
    SIZES_BLOOM,
    SIZES_FALCON,
    SIZES_NEO,
    SIZES_OPT,
    SIZES_MPT,
    SIZES_GGUF
};
extern const char *const hf_size_names[][HF_SIZE_FIELDS];

/* A field of true or false that tells rows of one name apart; `usual` is what it is where it is left out. */
struct hf_switch {
    const char *name;
    bool value, usual;
};
enum { HF_MOST_SWITCHES = 4 };

/* What a configuration can say, for export. */
struct hf_fields {
    enum hf_size_names sizes;
    const char *epsilon;  /* the field of the norms' epsilon; NULL: it is the default */
    const char *qkv_bias; /* the field of biases of queries, keys and values; NULL: attention_bias */
    bool has_one_bias;    /* the same field says it of all linear layers */
    const char *kv_heads; /* else there are as many as heads */
    const char *window;   /* the field of windows; NULL: sliding_window */
    const char *slopes; /* the field of the exponent of the slopes' range, which is 8; NULL: there is none */
    const char *parallel; /* the field of branches side by side; NULL: it is the default */
    enum hf_layer_list layers;
    bool has_head_dim;     /* head_dim; else it is hidden_size / num_attention_heads */
    bool divides_hidden;   /* the heads must divide the hidden size whatever head_dim says */
    bool has_short_rotary; /* rotary_pct and rotary_emb_base for partial_rotary_factor and rope_theta */
    enum hf_caps caps;     /* attn_logit_softcapping and final_logit_softcapping */
    bool has_query_scalar; /* query_pre_attn_scalar */
    bool has_local_rotary; /* rope_local_base_freq, of layers with a window */
    bool has_bare_layers;  /* no_rope_layers; else every n-th layer is, or none */
    bool has_factors;      /* stored factors of the rotary frequencies */
    bool must_tie;         /* the head is the embedding */
    bool has_one_gelu;     /* readers take GELU and its tangent approximation for the same */
    struct hf_switch switches[HF_MOST_SWITCHES];
};

struct hf_architecture {
    const char *name, *model_type;
    struct decoder_form form;
    struct hf_defaults defaults;
    struct hf_fields fields;
};

extern const struct hf_architecture hf_architectures[];
extern const size_t hf_architecture_count;

/* The scale of the scores that readers take for granted of so many layers; 0: the size of a head says it. */
double hf_defaults_scale(const struct hf_defaults *defaults, int64_t layers, int64_t hidden, int64_t heads);

/* Those of GGUF files (ir/gguf_architectures.def), model_type NULL. */
extern const struct hf_architecture gguf_architectures[];
extern const size_t gguf_architecture_count;

#endif
