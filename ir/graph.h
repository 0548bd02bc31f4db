/* The program that espalier works on: nodes and values in an arena, 32-bit ids, nodes in topological order.
 *
 * A value is an input of the graph, a weight (tensor), or a result of a node; it has a type and one dimension
 * term per axis. Weights are immutable views of mapped bytes. A pass does not edit a graph in place: it
 * builds a new one (graph_copy_node and friends in ir/build.h), so garbage never collects and ids stay dense.
 *
 * Everything hangs on the graph's own arena; graph_destroy frees it. Mapped files are not owned: whoever
 * opened them keeps them until the graph is gone. */
#ifndef IR_GRAPH_H
#define IR_GRAPH_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/vec.h"
#include "ir/dim.h"
#include "ir/interface.h"
#include "ir/metadata.h"
#include "ir/op.h"
#include "ir/tensor.h"
#include "ir/type.h"
#include <stdint.h>

enum { ID_NONE = UINT32_MAX, VALUE_MAX_RANK = 4, NODE_MAX_INPUTS = 8, NODE_MAX_RESULTS = 3 };

enum value_origin { VALUE_INPUT, VALUE_TENSOR, VALUE_NODE };

struct value {
    enum value_origin origin;
    uint32_t source; /* index into inputs, tensors or nodes */
    uint32_t slot;   /* which result of the node */
    enum dtype dtype;
    uint32_t rank;
    uint32_t axes[VALUE_MAX_RANK]; /* dimension terms, outermost first */
};

struct attribute {
    enum attribute_key key;
    union {
        int64_t integer;
        float real;
    };
};

struct node {
    enum op op;
    uint32_t input_count, result_count, attribute_count;
    uint32_t inputs[NODE_MAX_INPUTS];               /* value ids */
    uint32_t results[NODE_MAX_RESULTS];             /* value ids */
    struct attribute attributes[OP_MAX_ATTRIBUTES]; /* in the order of the op's row */
    struct str origin; /* where it came from, e.g. an ONNX node's name; in no hash */
};

struct input {
    struct str name; /* role: "tokens", "labels", "weights", or a state's name */
    uint32_t value;
};

struct tensor {
    struct str name; /* e.g. "layers.0.q"; in no hash */
    uint32_t value;
    struct tensor_view view;
    struct hash128 id; /* content id, when has_id */
    bool has_id;
};

struct output {
    struct str name; /* role: "logits", or the name of a state written back */
    uint32_t value;
};

struct graph {
    struct arena arena;
    struct dims dims;
    VEC(struct value) values;
    VEC(struct node) nodes;
    VEC(struct input) inputs;
    VEC(struct tensor) tensors;
    VEC(struct output) outputs;
    struct interface interface; /* of the file it came from, and of its ONNX exports */
    struct metadata metadata;   /* in no hash */
};

struct graph *graph_create(void);
void graph_destroy(struct graph *graph); /* accepts NULL */

const struct value *graph_value(const struct graph *graph, uint32_t id);
uint32_t graph_find_input(const struct graph *graph, const char *name);  /* value id or ID_NONE */
uint32_t graph_find_output(const struct graph *graph, const char *name); /* value id or ID_NONE */
int64_t node_integer(const struct node *node, enum attribute_key key);   /* asserts that the op has it */
float node_real(const struct node *node, enum attribute_key key);
float node_softcap(const struct node *node); /* of an attention; 0 where it has none */
/* Is the value the node's input of constants (op_constant_input)? */
bool node_reads_constant(const struct node *node, uint32_t value);

/* Number of elements of all weights, shared ones once; constants (op_constant_input) are not counted. */
int64_t graph_parameters(const struct graph *graph);

#endif
