/* Constructing graphs. Importers, passes, gradients and training all go through here, so every node has
 * passed its dimension rule. Functions that take well-formed input by construction (passes) may use build_op,
 * which asserts. */
#ifndef IR_BUILD_H
#define IR_BUILD_H

#include "base/status.h"
#include "ir/graph.h"

/* Values. Axes are terms of graph->dims. A view's index lists are copied, its bytes are not. */
uint32_t build_input(struct graph *graph, const char *name, enum dtype dtype, uint32_t rank,
                     const uint32_t *axes);
uint32_t build_tensor(struct graph *graph, struct str name, const struct tensor_view *view,
                      const uint32_t *axes);
void build_output(struct graph *graph, const char *name, uint32_t value);

/* A node with attributes in the order of the op's row; results are in node->results (the last of
 * graph->nodes). INVALID names op, operands and sizes when the rule does not fit. */
enum status build_node(struct graph *graph, enum op op, const uint32_t *inputs,
                       const struct attribute *attributes, uint32_t *results, struct trace *trace) MUST_CHECK;

/* The same, for callers whose input is right by construction: asserts. Returns the first result. */
struct build_attributes {
    int64_t heads, kv_heads, causal, window, inverse, rows, start, top, decay;
    float scale, softcap, epsilon;
};
uint32_t build_op(struct graph *graph, enum op op, const uint32_t *inputs,
                  const struct build_attributes *attributes);
uint32_t build_unary(struct graph *graph, enum op op, uint32_t x);
uint32_t build_binary(struct graph *graph, enum op op, uint32_t x, uint32_t y);
uint32_t build_result(const struct graph *graph, uint32_t value,
                      uint32_t slot); /* another result of its node */

/* Copying from one graph to another. `map` has from->values.count entries: the value in `to` that stands for
 * each value of `from`, or ID_NONE. copy_dims keeps one term in `to` per leaf of `from` (ID_NONE-filled array
 * of from's term count, owned by the caller), so axes shared in `from` stay shared. */
struct graph_copy {
    const struct graph *from;
    struct graph *to;
    uint32_t *values;    /* from value -> to value */
    uint32_t *terms;     /* from leaf -> to term */
    uint32_t term_count; /* of `terms`; rules may add terms to `from` later, which stand for no axis of it */
};
struct graph_copy graph_copy_begin(struct graph *to,
                                   const struct graph *from); /* arrays on to's arena, all ID_NONE */
/* For another copy with the same arrays: the value and the terms of its axes are mapped no longer. */
void graph_copy_forget(struct graph_copy *copy, uint32_t value);
uint32_t graph_copy_term(struct graph_copy *copy, uint32_t term);
uint32_t graph_copy_input(struct graph_copy *copy,
                          uint32_t input_index); /* new input of the same name and axes */
uint32_t graph_copy_tensor(struct graph_copy *copy, uint32_t tensor_index); /* same view */
/* Copies the node; its inputs must be mapped. Results are mapped. Attributes that restate a term are
 * recomputed. */
enum status graph_copy_node(struct graph_copy *copy, const struct node *node, struct trace *trace) MUST_CHECK;
/* Everything: inputs that are not mapped yet, tensors, nodes (no outputs). */
enum status graph_copy_all(struct graph_copy *copy, struct trace *trace) MUST_CHECK;
/* The outputs, all of whose values must be mapped. */
void graph_copy_outputs(struct graph_copy *copy);
void graph_copy_metadata(struct graph *to, const struct graph *from); /* in the place of what is there */
/* What is told of the model besides its program: interface and metadata. */
void graph_copy_description(struct graph *to, const struct graph *from);
struct graph *graph_clone(const struct graph *graph); /* with outputs and description */

#endif
