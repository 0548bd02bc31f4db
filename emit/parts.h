/* The parts of a decoder, found in a canonical graph by what its operations do:
 *
 *   x = embed, scaled, plus a table of positions; each layer: x = x + o(attention(q, k, v of norm(x))), then
 *   x = x + MLP(norm(x)), or both added to the same x; logits = head(norm(x))
 *
 * Branches may have a norm of what they give too, or only that. Queries and keys may be normalised and
 * rotated in front or wholly; linear layers may have a bias; the MLP may have a gate. All layers must be
 * alike and have equal sizes, because configurations have one field for each; some may have a window, and
 * some may rotate nothing or otherwise. Views belong to the graph. */
#ifndef EMIT_PARTS_H
#define EMIT_PARTS_H

#include "base/arena.h"
#include "base/vec.h"
#include "ir/decoder_form.h"
#include "ir/graph.h"

struct part_linear {
    const struct tensor *weight; /* [out, in] */
    const struct tensor *bias;   /* [out], or NULL */
};

struct part_norm {
    const struct tensor *weight; /* [d] */
    const struct tensor *bias;   /* [d], or NULL */
};

struct parts_layer {
    /* Of what a branch reads, and of what it gives to the sum. A norm with weight NULL is none. */
    struct part_norm attention_norm, attention_post_norm, mlp_norm, mlp_post_norm;
    struct part_linear q, k, v, o, gate, up, down; /* gate.weight NULL: there is no gate */
    const struct node *attention,
        *ropes[2];                        /* attention NULL: it is gone; ropes of queries and keys, or NULL */
    const struct tensor *q_norm, *k_norm; /* [head_size], or [heads * head_size], or NULL */
    const struct tensor *frequencies;     /* rotary [f]; NULL: nothing is rotated */
    const struct tensor *slopes;          /* of attention [heads], or NULL */
    int64_t window;                       /* 0: none */
};

struct parts {
    struct arena arena;
    const struct tensor *embed, *head; /* head NULL: tied to embed */
    const struct tensor *head_bias;    /* [vocabulary], or NULL */
    const struct tensor *positions;    /* [first_position + positions, hidden], or NULL */
    const struct tensor *frequencies;  /* rotary [f] of the layers without a window, or of all; NULL: none */
    const struct tensor
        *local_frequencies;            /* of layers with a window, where others have other ones; or NULL */
    struct part_norm norm, embed_norm; /* embed_norm.weight NULL: the embedding is not normalised */
    VEC(struct parts_layer) layers;
    int64_t hidden, vocabulary, ffn, heads, kv_heads, head_size;
    int64_t first_position;                /* row of the first token's position */
    int64_t window;                        /* of attention, in all or some layers; 0: none */
    float epsilon, scale, embedding_scale; /* of all norms; of the scores; of what the embedding gives */
    float softcap, logit_softcap;          /* 0: none */
    enum decoder_norms norms;
    enum decoder_head_norms head_norms;
    enum decoder_norm norm_kind;
    enum decoder_activation activation;
    bool is_gated, is_parallel;
    bool shares_norm;       /* the branches of each layer read the same norm */
    bool has_windows_apart; /* some layers have the window, others not */
    bool has_bare_layers;   /* some are rotated, others not */
    bool has_slopes;
    bool has_qkv_bias, has_o_bias, has_mlp_bias;
};

/* What becomes of a layer that has lost its attention or its MLP: it is refused, or taken for one whose
 * projections there are zeros (their weights are NULL). */
enum parts_missing { PARTS_WHOLE, PARTS_FILLED };

/* UNSUPPORTED says which node is something else, or which field of a configuration would have to differ
 * between layers. `graph` is canonical and outlives *out; release it in either case. */
enum status parts_find(struct parts *out, const struct graph *graph, enum parts_missing missing,
                       struct trace *trace) MUST_CHECK;
/* What the queries, or the weight of their norm, are multiplied by so that the scale of the scores becomes
 * `usual`, the only one that another program's form has; 0: head_size^-0.5. */
enum status parts_find_query_factor(float *out, const struct parts *parts, double usual,
                                    struct trace *trace) MUST_CHECK;
void parts_note_filled(const struct parts *parts); /* logs which branches are filled up */
void parts_release(struct parts *parts);           /* accepts zeroed memory */

#endif
