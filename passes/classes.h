/* Prunable classes: the leaves of a graph's dimension terms under names that do not change with the model's
 * own names. What a leaf is for is found from the ops that use it.
 *
 *   hidden               the residual stream
 *   vocab                rows of the embedding and columns of the logits: two leaves, one where tied
 *   layers.N.ffn         what the matmul contracts that closes an MLP branch
 *   layers.N.kv_heads    groups g of key-value heads
 *   layers.N.heads       query heads r within each group (size is r; in all there are g*r)
 *   layers.N.value_size  channels of a value head
 *   head_pairs           rotary frequencies f; layers.N.head_pairs where layers do not share a table
 *   layers.N.head_size   channels of query and key, where nothing rotates them
 *   leaf.N               any other static leaf of a weight, in order of appearance
 *
 * A class of size 1 is not listed. */
#ifndef PASSES_CLASSES_H
#define PASSES_CLASSES_H

#include "passes/structure.h"

enum exactness {
    EXACT,        /* what is left computes what the graph computes with the rest zeroed */
    RENORMALISES, /* a mean runs over it and is then over fewer elements */
    INTERFACE,    /* an axis of an input or output, or the range of an input's values: callers see it */
    REFUSED,      /* see reason */
};
const char *exactness_name(enum exactness exactness); /* "exact", "renormalising", "interface", "refused" */

struct carrier {
    uint32_t tensor; /* index into graph->tensors */
    uint32_t axis;
};

struct prunable {
    const char *name;
    uint32_t leaf;     /* dimension term */
    uint32_t leaf_out; /* vocab, untied: the leaf of the logits; else equal to leaf */
    uint32_t parent;   /* leaf for each index of which a list of its own may be kept, or DIM_NONE */
    int64_t size;
    uint32_t layer; /* or ID_NONE */
    const struct carrier *carriers;
    uint32_t carrier_count;
    const char *facts; /* "contracted, paired" */
    enum exactness exactness;
    const char *reason; /* where refused: why, and the nodes that see the leaf; else "" */
};

/* Sizes a person thinks of. Arrays have `layers` entries, 0 where a layer has no such branch. */
struct shape {
    uint32_t layers;
    int64_t hidden, vocab;
    const int64_t *heads, *kv_heads, *head_dim, *ffn;
    int64_t parameters; /* graph_parameters(): shared tensors once */
    bool tied;          /* embedding and head are one tensor */
};

struct classes {
    struct structure structure;
    struct shape shape;
    const struct prunable *items;
    uint32_t count;
};

/* Allocates from `arena`. Fails where structure_find() does, or when there is no output "logits". */
enum status classes_find(struct classes *out, struct arena *arena, const struct graph *graph,
                         struct trace *trace) MUST_CHECK;
/* NULL when there is none. */
const struct prunable *classes_get(const struct classes *classes, const char *name);
const struct prunable *classes_get_layer(const struct classes *classes, uint32_t layer, const char *role);

/* The same size in all layers that have one: true, and through `size`. */
bool shape_is_uniform(const int64_t *sizes, uint32_t layers, int64_t *size);

#endif
