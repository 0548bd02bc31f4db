/* A model without its head, and the head's logits of some tokens at a time, so that no tensor of tokens x
 * vocabulary has to be stored. */
#ifndef MEASURE_HEAD_GRAPH_H
#define MEASURE_HEAD_GRAPH_H

#include "base/status.h"
#include "ir/graph.h"
#include "passes/logit_tail.h"

enum { HEAD_ROWS = 512 }; /* tokens at a time */

/* How a model's "logits" are made: a product matmul_nt(hidden, weight) and the tail of that; of the model. */
struct model_head {
    uint32_t node; /* the product, or ID_NONE */
    struct logit_tail tail;
};

/* UNSUPPORTED: they are made otherwise; then `node` is ID_NONE. */
enum status model_head_find(struct model_head *out, const struct graph *model,
                            struct trace *trace) MUST_CHECK;
/* Whether the node is one of those between hidden and logits. */
bool model_head_has(const struct model_head *head, const struct graph *model, uint32_t node);

/* Its operands in a copy of the model. */
struct head_graph {
    uint32_t hidden, weight; /* logits = matmul_nt(hidden, weight) */
    struct logit_tail tail;  /* of that */
};

/* Copies `model`, which has input "tokens" [b, s] and output "logits", into `to`, all but the head; yields
 * the values in `to` of the head's operands. A second model reads the tokens of the first. UNSUPPORTED when
 * the logits are no linear layer, or batch or sequence of a second model are no sizes of its own. */
enum status head_graph_copy(struct head_graph *out, struct graph *to, const struct graph *model,
                            struct trace *trace) MUST_CHECK;
/* The logits [rows, v] of tokens [start, start + rows); of the first `vocabulary` only, unless that is 0. */
uint32_t head_graph_logits(const struct head_graph *head, struct graph *graph, int64_t start, int64_t rows,
                           int64_t vocabulary);
int64_t head_graph_size(const struct head_graph *head, const struct graph *graph); /* v */

#endif
