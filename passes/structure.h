/* Depth by dataflow, whatever anything is called.
 *
 * The residual stream is the chain of values s0, s1, ... that begins at the embedding and in which each value
 * is add(the one before, f), f depending on the stream only: f is a residual branch. (Before the first
 * branch, values made from the embedding one after another, as by a position embedding, only move s0 on.) A
 * branch that contains an attention op is an attention branch, any other an MLP. Every branch can be taken
 * out alone, by putting s(i) in the place of s(i+1). A layer is an attention branch with the MLP branch that
 * follows it; a lone branch is a layer of its own, and so is one that holds both (parallel residual). */
#ifndef PASSES_STRUCTURE_H
#define PASSES_STRUCTURE_H

#include "base/hash.h"
#include "base/status.h"
#include "ir/graph.h"

enum branch_kind { BRANCH_ATTENTION, BRANCH_MLP };

struct branch {
    enum branch_kind kind;
    uint32_t add;           /* node: result = stream + f */
    uint32_t before, after; /* values of the stream: operand and result of the add */
    uint32_t value;         /* f, the other operand */
    uint32_t reads;         /* index of the stream value that f reads; the last if several */
    uint32_t attention;     /* node, or ID_NONE */
    uint32_t layer;         /* index into layers */
    const uint32_t *nodes;  /* of f alone, ascending; not what all layers share (rotary table) */
    uint32_t node_count;
    struct hash128 hash; /* canonical form without weights' ids: equal means the same structure and sizes */
};

struct layer {
    uint32_t attention, mlp; /* indices into branches, or ID_NONE */
};

struct structure {
    uint32_t embed;         /* node */
    uint32_t hidden;        /* term of the stream's last axis */
    const uint32_t *stream; /* values s0 .. s(branch_count) */
    const struct branch *branches;
    uint32_t branch_count;
    const struct layer *layers;
    uint32_t layer_count;
    uint32_t period; /* layers repeat with this period (1: all equal); 0 when they do not */
};

/* Allocates from `arena`; ids are the graph's. UNSUPPORTED when there is no embedding of an i32 input, or two
 * branches compete for the stream. */
enum status structure_find(struct structure *out, struct arena *arena, const struct graph *graph,
                           struct trace *trace) MUST_CHECK;

#endif
