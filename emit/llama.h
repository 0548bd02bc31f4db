/* The parts of a LLaMA-like model, found in a canonical graph by what its operations do:
 *
 *   x = embed; each layer: x = x + o(attention(rope(q(n)), rope(k(n)), v(n))) with n = rmsnorm(x),
 *              then x = x + down(silu(gate(n)) * up(n)) with n = rmsnorm(x);  logits = head(rmsnorm(x))
 *
 * Linear layers may have a bias. All layers must have equal sizes, because the configurations of Hugging Face
 * have one number for each. Views belong to the graph. */
#ifndef EMIT_LLAMA_H
#define EMIT_LLAMA_H

#include "base/arena.h"
#include "base/vec.h"
#include "ir/graph.h"

struct llama_linear {
    const struct tensor *weight; /* [out, in] */
    const struct tensor *bias;   /* [out], or NULL */
};

struct llama_layer {
    const struct tensor *attention_norm, *mlp_norm;
    struct llama_linear q, k, v, o, gate, up, down;
};

struct llama {
    struct arena arena;
    const struct tensor *embed, *norm, *head; /* head NULL: tied to embed */
    const struct tensor *frequencies;         /* rotary [f] */
    VEC(struct llama_layer) layers;
    int64_t hidden, vocabulary, ffn, heads, kv_heads, head_size;
    float epsilon, scale; /* of all norms; of the scores */
    bool attention_has_bias, mlp_has_bias;
};

/* UNSUPPORTED says which node is something else, or what differs between layers. `graph` is canonical and
 * outlives *out; release it in either case. */
enum status llama_find(struct llama *out, const struct graph *graph, struct trace *trace) MUST_CHECK;
/* What the weights of the queries are multiplied by so that the scale of the scores becomes head_size^-0.5,
 * the only one that other programs' forms have. */
enum status llama_find_query_factor(float *out, const struct llama *llama, struct trace *trace) MUST_CHECK;
void llama_release(struct llama *llama); /* accepts zeroed memory */

#endif
