/* Activation recomputation (Chen et al. 2016): what the branches of a model compute on the way forward is not
 * kept for the way back but computed again there, from the residual stream, which is kept. The same nodes
 * give the same bytes, so nothing but memory and time changes. */
#ifndef TRAIN_RECOMPUTE_H
#define TRAIN_RECOMPUTE_H

#include "ir/graph.h"
#include <stdint.h>

struct recompute_request {
    uint32_t first, end; /* nodes of the forward pass */
    uint32_t back;       /* first node of the way back; those from here on read copies */
    const uint32_t *kept;
    uint32_t kept_count; /* values of the forward pass that are not computed again */
};

/* Puts a copy of each forward node that the way back reads from, and of what it needs in turn, right before
 * the first node that wants it. Values keep their ids. */
void recompute_forward(struct graph *graph, const struct recompute_request *request);

#endif
