/* From the operations of ir/ops.def to plain ONNX operators: one function an op, listed in
 * emit/onnx_lowerings.def. An op without a row has no ONNX form and is refused by name.
 *
 * A value keeps its shape, with one exception: the two halves of a rotary table [s, 2, f] are two tensors of
 * the shape [s, 1, f + f] that multiply heads, of the fused form [s, f]; `names` holds the cosines and
 * `sines` the sines. */
#ifndef EMIT_ONNX_LOWER_H
#define EMIT_ONNX_LOWER_H

#include "emit/emit.h"
#include "emit/onnx_graph.h"
#include "ir/graph.h"

struct onnx_lower {
    struct onnx_graph *onnx;
    const struct graph *graph;
    const char **names, **sines; /* by value */
    const char **transposed;     /* by value: its transpose, where there is one */
    const char *tokens, *logits;
    struct interface interface;
    bool has_cache;
    const char *clash;                     /* a name that two inputs or outputs have */
    const char *padding, *given_positions; /* inputs, NULL where there are none */
    /* What emit/onnx_interface.c makes when somebody asks first. */
    const char *positions, *key_positions, *end, *past_length, *counted, *cast_positions, *row_ids;
    const char *mask, *shown, *distances;
    const char *window_mask; /* the last window that was asked for */
    int64_t window;
    uint32_t layer;          /* attentions lowered so far */
    const struct node *node; /* the one that is being lowered */
    const char *prefix;      /* of the names of what it is made of */
};

/* Lowers the whole graph, which is canonical, into an empty `onnx`: input "input_ids", output "logits", and
 * what the interface adds. */
enum status onnx_lower_graph(struct onnx_graph *onnx, const struct graph *graph,
                             enum emit_interface interface, struct trace *trace) MUST_CHECK;

/* For the functions of the table. */
const char *onnx_lower_input(const struct onnx_lower *l, uint32_t input);
const char *onnx_lower_result(struct onnx_lower *l); /* the name of the node's first result */
const char *onnx_lower_part(struct onnx_lower *l, const char *part);
int64_t onnx_lower_size(const struct onnx_lower *l, uint32_t input, uint32_t axis); /* static */
/* An operator of one or two operands (b may be NULL); returns `output`. */
const char *onnx_lower_apply(struct onnx_lower *l, const char *op, const char *a, const char *b,
                             const char *output);
const char *onnx_lower_reshape(struct onnx_lower *l, const char *x, uint32_t rank, const int64_t *shape,
                               const char *output);
const char *onnx_lower_transpose(struct onnx_lower *l, const char *x, uint32_t rank, const int64_t *order,
                                 const char *output);
/* Inserts an axis of size 1. */
const char *onnx_lower_unsqueeze(struct onnx_lower *l, const char *x, int64_t axis, const char *output);

#define ONNX_LOWERING(op, function) enum status function(struct onnx_lower *l, struct trace *trace);
#include "emit/onnx_lowerings.def"

#endif
