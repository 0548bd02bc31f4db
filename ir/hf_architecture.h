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

struct hf_architecture {
    const char *name, *model_type;
    struct decoder_form form;
    struct hf_defaults defaults;
};

extern const struct hf_architecture hf_architectures[];
extern const size_t hf_architecture_count;

#endif
