/* A decoder as a configuration describes it, and the graph of it: the way into the IR for formats that name
 * an architecture instead of spelling a graph. Built of the same terms as what an ONNX file is read into
 * (frontend/term.h), so that names, order and form of the graph are the same. */
#ifndef FRONTEND_DECODER_H
#define FRONTEND_DECODER_H

#include "frontend/importer.h"
#include "frontend/weight_set.h"
#include "ir/decoder_form.h"

enum { DECODER_MAX_LAYERS = 4096, DECODER_MAX_SIZE = 1 << 24 };

enum rotary_scaling { ROTARY_PLAIN, ROTARY_LINEAR, ROTARY_LLAMA3 };

struct decoder_rotary {
    double theta;
    enum rotary_scaling scaling;
    double factor, low_factor, high_factor; /* low, high and original_context: of llama3 only */
    int64_t original_context;
    const float *factors; /* [size / 2] that the frequencies are divided by, or NULL */
    int64_t size;         /* channels of a head that are rotated, those in front */
};

struct decoder_config {
    const struct decoder_form *form;
    int64_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
    int64_t positions;             /* that the table of positions has rows for, where the form has one */
    int64_t window;                /* of attention; 0: none */
    const bool *has_full_window;   /* [layers]: layers without the window; NULL: none */
    const bool *is_bare;           /* [layers]: layers that rotate nothing; NULL: none */
    double scale;                  /* of the scores; 0: head_dim^-0.5 */
    double softcap, logit_softcap; /* 0: none */
    double epsilon;
    bool tied, has_qkv_bias, has_o_bias, has_mlp_bias;
    bool is_parallel; /* attention and MLP are added to the same x */
    enum decoder_activation activation;
    struct decoder_rotary rotary, local; /* local: of layers with a window; size 0: as the others */
};

struct decoder_source {
    const struct decoder_config *config;
    struct weight_set *weights;
};

/* INVALID names a size that is out of range or does not divide. */
enum status decoder_check(const struct decoder_config *config, struct trace *trace) MUST_CHECK;

/* Builds model->graph. INVALID and UNSUPPORTED as weight_set_take(); `config` has been checked. A naming's
 * weights may all lack what their names have up to the first dot, as those of a model without a head do. */
enum status decoder_build(struct imported_model *model, const struct decoder_source *source,
                          struct trace *trace) MUST_CHECK;

/* w[j], j < rotary->size / 2, in single precision and the order of operations of the transformers library. */
void decoder_frequencies(float *out, const struct decoder_rotary *rotary);

#endif
