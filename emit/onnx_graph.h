/* An ONNX graph in the making: nodes already in wire form, and a list of initializers whose content is either
 * a few bytes or a view of a weight that is streamed at the end. Names are unique: onnx_graph_name() adds a
 * number where a name is taken. Equal constants are one initializer. */
#ifndef EMIT_ONNX_GRAPH_H
#define EMIT_ONNX_GRAPH_H

#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "emit/onnx_fields.h"
#include "ir/tensor.h"

enum { ONNX_MAX_INPUTS = 6, ONNX_MAX_OUTPUTS = 3, ONNX_MAX_ATTRIBUTES = 4, ONNX_MAX_INTEGERS = 5 };

/* Operators that every runtime has, or those of opset 23 for norms, rotary embedding and attention. */
enum onnx_form { ONNX_PLAIN, ONNX_FUSED };

struct onnx_attribute {
    const char *name; /* NULL: none */
    uint32_t count;   /* 0: the one integer values[0], or `real`; else a list of so many */
    int64_t values[ONNX_MAX_INTEGERS];
    bool is_real;
    float real;
};

struct onnx_node {
    const char *op;
    const char *inputs[ONNX_MAX_INPUTS], *outputs[ONNX_MAX_OUTPUTS]; /* up to the first NULL */
    struct onnx_attribute attributes[ONNX_MAX_ATTRIBUTES];
};

/* An input or output of the graph. */
struct onnx_axis {
    const char *symbol; /* NULL: `size` is known */
    int64_t size;
};
struct onnx_place {
    const char *name;
    enum onnx_kind kind;
    uint32_t rank;
    struct onnx_axis axes[4];
};

struct onnx_initializer {
    const char *name;
    enum onnx_kind kind;
    uint32_t rank;
    int64_t dims[TENSOR_MAX_RANK];
    uint64_t length;         /* bytes in the file */
    const void *bytes;       /* of a constant; NULL: `view` is the content */
    struct tensor_view view; /* widened to f32 when written */
};

struct onnx_graph {
    enum onnx_form form;
    struct arena arena;
    int64_t opset;        /* the lowest that has all operators */
    struct builder nodes; /* GraphProto.node fields */
    VEC(struct onnx_place) inputs, outputs;
    VEC(struct onnx_initializer) initializers;
    struct map names, constants;
};

void onnx_graph_release(struct onnx_graph *graph); /* accepts zeroed memory */

/* A name like `wanted` that nothing has yet, of printable ASCII; on the arena. */
const char *onnx_graph_name(struct onnx_graph *graph, struct str wanted);
void onnx_graph_add(struct onnx_graph *graph, const struct onnx_node *node);
/* The weight under a name like `wanted`; returns the name. */
const char *onnx_graph_weight(struct onnx_graph *graph, struct str wanted, const struct tensor_view *view);
/* Constants: a vector or a scalar of int64, a scalar of f32. Return the name. */
const char *onnx_graph_integers(struct onnx_graph *graph, uint32_t count, const int64_t *values);
const char *onnx_graph_integer(struct onnx_graph *graph, int64_t value);
const char *onnx_graph_float(struct onnx_graph *graph, float value);

#endif
