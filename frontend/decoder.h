/* A decoder as a configuration describes it, and the graph of it: the way into the IR for formats that name
 * an architecture instead of spelling a graph. Built of the same terms as what an ONNX file is read into
 * (frontend/term.h), so that names, order and form of the graph are the same. */
#ifndef FRONTEND_DECODER_H
#define FRONTEND_DECODER_H

#include "frontend/importer.h"
#include "frontend/weight_set.h"

enum { DECODER_MAX_LAYERS = 4096, DECODER_MAX_SIZE = 1 << 24 };

enum rotary_scaling { ROTARY_PLAIN, ROTARY_LINEAR, ROTARY_LLAMA3 };

struct decoder_rotary {
    double theta;
    enum rotary_scaling scaling;
    double factor, low_factor, high_factor; /* low, high and original_context: of llama3 only */
    int64_t original_context;
};

struct decoder_config {
    int64_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
    double epsilon;
    bool tied, has_qkv_bias, has_o_bias, has_mlp_bias;
    struct decoder_rotary rotary;
};

/* The file's name of a weight: role, layer (0 for those of the model), ending. On the arena. */
enum decoder_role {
#define HF_MODEL_KEY(role, key) ROLE_##role,
#define HF_LAYER_KEY(role, key) ROLE_##role,
#include "ir/hf_keys.def"
    ROLE_COUNT
};
enum decoder_part { PART_WEIGHT, PART_BIAS };
typedef const char *decoder_namer(struct arena *arena, enum decoder_role role, int64_t layer,
                                  enum decoder_part part);

struct decoder_source {
    const struct decoder_config *config;
    struct weight_set *weights;
    decoder_namer *name;
};

/* INVALID names a size that is out of range or does not divide. */
enum status decoder_check(const struct decoder_config *config, struct trace *trace) MUST_CHECK;

/* Builds model->graph. INVALID and UNSUPPORTED as weight_set_take(); `config` has been checked. */
enum status decoder_build(struct imported_model *model, const struct decoder_source *source,
                          struct trace *trace) MUST_CHECK;

/* w[j], j < head_dim / 2, in single precision and the order of operations of the transformers library. */
void decoder_frequencies(float *out, const struct decoder_rotary *rotary, int64_t head_dim);

#endif
