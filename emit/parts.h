/* The parts of a decoder, found in a canonical graph by what its operations do:
 *
 *   x = embed, scaled, plus a table of positions; each layer: x = x + o(attention(q, k, v of norm(x))), then
 *   x = x + MLP(norm(x)), or both added to the same x; logits = head(norm(x))
 *
 * Queries and keys may be normalised head by head and rotated in front or wholly; linear layers may have a
 * bias; the MLP may have a gate. All layers must be alike and have equal sizes, because configurations have
 * one field for each. Views belong to the graph. */
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
    struct part_norm attention_norm, mlp_norm;
    struct part_linear q, k, v, o, gate, up, down; /* gate.weight NULL: there is no gate */
    const struct tensor *q_norm, *k_norm;          /* [head_size], or NULL */
};

struct parts {
    struct arena arena;
    const struct tensor *embed, *head; /* head NULL: tied to embed */
    const struct tensor *positions;    /* [positions, hidden], or NULL */
    const struct tensor *frequencies;  /* rotary [f], or NULL */
    struct part_norm norm;
    VEC(struct parts_layer) layers;
    int64_t hidden, vocabulary, ffn, heads, kv_heads, head_size;
    int64_t window;                        /* of attention in every layer; 0: none */
    float epsilon, scale, embedding_scale; /* of all norms; of the scores; of what the embedding gives */
    enum decoder_norm norm_kind;
    enum decoder_activation activation;
    bool is_gated, is_parallel, has_head_norms;
    bool has_qkv_bias, has_o_bias, has_mlp_bias;
};

/* UNSUPPORTED says which node is something else, or which field of a configuration would have to differ
 * between layers. `graph` is canonical and outlives *out; release it in either case. */
enum status parts_find(struct parts *out, const struct graph *graph, struct trace *trace) MUST_CHECK;
/* What the queries, or the weight of their norm, are multiplied by so that the scale of the scores becomes
 * head_size^-0.5, the only one that other programs' forms have. */
enum status parts_find_query_factor(float *out, const struct parts *parts, struct trace *trace) MUST_CHECK;
void parts_release(struct parts *parts); /* accepts zeroed memory */

#endif
