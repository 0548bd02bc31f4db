/* The LLaMA family as a graph: what training from scratch starts from, and what tests build.
 *
 * The graph is the form that importing gives: input "tokens" i32 [b, s], output "logits" [b, s, v]; tensors
 * embed, layers.N.{attention_norm, q, k, v, o, mlp_norm, gate, up, down}, norm, head (absent when tied),
 * inv_freq. Only inv_freq (the inverse frequencies) has bytes; the other tensors have views without memory
 * until somebody fills them (train/init.h). */
#ifndef TRAIN_ARCH_H
#define TRAIN_ARCH_H

#include "base/status.h"
#include "ir/graph.h"
#include <stdbool.h>
#include <stdint.h>

struct arch {
    int64_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
    bool tied;     /* the head is the embedding */
    float theta;   /* rotary base; 0: 10000 */
    float epsilon; /* of the norms; 0: 1e-5 */
};

/* INVALID names the size that is out of range or does not divide. The caller owns the graph. */
enum status arch_build(struct graph **out, const struct arch *arch, struct trace *trace) MUST_CHECK;

#endif
