/* Reverse-mode gradients as a pass over the graph.
 *
 * Starting from values whose gradients are known (the seeds), the nodes are walked backwards; each op on a
 * way from a wanted value to a seed adds the nodes of its own gradient (the `gradient` column of ir/ops.def,
 * one file an op in passes/gradients/). Gradients that meet are added in the order of the walk: later nodes
 * first, within a node its inputs ascending. So the sum, and with it every golden bit, depends on the graph
 * alone.
 *
 * New nodes are appended to the same graph; nothing that was there changes. */
#ifndef PASSES_GRADIENT_H
#define PASSES_GRADIENT_H

#include "base/status.h"
#include "ir/graph.h"
#include <stdint.h>

struct gradient_seed {
    uint32_t value;
    uint32_t gradient; /* value of the same shape; several seeds of one value are added in the order given */
};

struct gradient_request {
    const struct gradient_seed *seeds;
    uint32_t seed_count;
    const uint32_t *wanted; /* values: weights, inputs or results of nodes */
    uint32_t wanted_count;
};

/* out[i]: the gradient of wanted[i], ID_NONE when no seed depends on it. UNSUPPORTED names a node on the way
 * that has no gradient. */
enum status gradient_build(uint32_t *out, struct graph *graph, const struct gradient_request *request,
                           struct trace *trace) MUST_CHECK;

#endif
