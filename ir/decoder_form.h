/* The forms of decoders that formats know by the name of an architecture: what a layer is made of, and how
 * its weights are packed and called. Tables of forms are data; import builds graphs by them, export finds
 * their parts in graphs. No code depends on which architecture it is. */
#ifndef IR_DECODER_FORM_H
#define IR_DECODER_FORM_H

#include "base/arena.h"
#include <stddef.h>
#include <stdint.h>

enum weight_role {
#define WEIGHT_ROLE(role) ROLE_##role,
#define WEIGHT_NAME(naming, role, name)
#include "ir/weight_names.def"
    ROLE_COUNT
};

enum weight_naming {
    NAMING_LLAMA,
    NAMING_GEMMA2,
    NAMING_OLMO2,
    NAMING_PHI,
    NAMING_STARCODER2,
    NAMING_GPT2,
    NAMING_GPTNEO,
    NAMING_NEOX,
    NAMING_BLOOM,
    NAMING_MPT,
    NAMING_FALCON,
    NAMING_FALCON_APART,
    NAMING_OPT,
    NAMING_GGUF,
    NAMING_GGUF_APART,
    NAMING_COUNT
};
enum weight_part { PART_WEIGHT, PART_BIAS };

/* The name of a weight, on the arena; NULL where the naming has none. `layer` is unused for those of the
 * model.
 */
const char *weight_name(struct arena *arena, enum weight_naming naming, enum weight_role role, int64_t layer,
                        enum weight_part part);

enum decoder_norm { DECODER_RMSNORM, DECODER_LAYERNORM }; /* layer norms have a bias */
/* Where a branch has norms: of what it reads, of what it gives to the sum, or both. */
enum decoder_norms { NORMS_BEFORE, NORMS_AFTER, NORMS_AROUND };
/* Norms of queries and keys: of each head, or of all heads of a position together. */
enum decoder_head_norms { HEAD_NORMS_NONE, HEAD_NORMS_EACH, HEAD_NORMS_WHOLE };
/* What scores lose with the distance: a multiple of the head's slope (slopes_usual), or that times the scale
 * of the scores. */
enum decoder_slopes { SLOPES_NONE, SLOPES_PLAIN, SLOPES_SCALED };
enum decoder_activation {
    ACTIVATION_NONE, /* for "no word of the table" */
    ACTIVATION_SILU,
    ACTIVATION_GELU,
    ACTIVATION_GELU_TANH,
    ACTIVATION_RELU,
    ACTIVATION_RELU_SQUARED
};
/* Queries, keys and values: three tensors; one with the rows of all queries, all keys, all values; one with
 * those of each head side by side (as many key-value heads as heads); or one with the queries of each group,
 * its key and its value. */
enum decoder_packing { PACKING_APART, PACKING_STACKED, PACKING_BY_HEAD, PACKING_BY_GROUP };
enum decoder_bias { BIAS_NEVER, BIAS_ALWAYS, BIAS_CONFIGURED };

struct decoder_form {
    enum weight_naming naming;
    enum decoder_norm norm;
    enum decoder_norms norms;
    bool norms_add_one;      /* the stored weight of a norm is one less than what it multiplies by */
    bool norms_are_bare;     /* they have neither weight nor bias */
    bool norms_lack_bias;    /* layer norms have a weight only */
    bool shares_norm;        /* where attention and MLP are side by side they read one norm */
    bool has_embedding_norm; /* the embedding is normalised */
    enum decoder_head_norms head_norms;
    bool has_positions;     /* a table of positions */
    int64_t first_position; /* its row for the first token */
    bool has_rotary;
    bool rotates_neighbours; /* stored so that rows 2i and 2i + 1 of a head rotate together */
    enum decoder_slopes slopes;
    bool is_unscaled;   /* the scale of the scores is 1 */
    bool has_one_group; /* one key-value head */
    bool scales_embedding;
    bool is_gated;
    bool packs_gate;    /* gate and up in one tensor */
    bool is_transposed; /* linear layers are stored [in, out] */
    enum decoder_packing packing;
    enum decoder_bias qkv_bias, o_bias, mlp_bias;
    bool has_head_bias;
};

enum { SLOPES_RANGE = 8 }; /* the last head's slope is 2 to the power of minus this */
/* The slopes that ALiBi gives to so many heads (Press et al. 2022, section 3), in single precision. */
void slopes_usual(float *out, int64_t heads);

/* The name that Hugging Face's configurations have for an activation. */
enum decoder_activation activation_find(const char *name);
const char *activation_name(enum decoder_activation activation);

#endif
