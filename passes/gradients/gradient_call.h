/* What the gradient of one op sees: its node, the gradient of its first result, and which inputs want one.
 *
 * Only the first result of an op carries a gradient; the others (statistics kept for the way back) are
 * constants to whoever reads them. Functions take well-formed nodes, so they cannot fail. */
#ifndef PASSES_GRADIENTS_GRADIENT_CALL_H
#define PASSES_GRADIENTS_GRADIENT_CALL_H

#include "ir/graph.h"
#include <stdbool.h>
#include <stdint.h>

struct gradient_call {
    struct graph *graph; /* new nodes go to its end */
    struct node node;    /* a copy: pushing nodes moves the original */
    uint32_t dy;         /* gradient of result 0 */
    bool needed[NODE_MAX_INPUTS];
    uint32_t dx[NODE_MAX_INPUTS]; /* out: gradients of the inputs that need one; ID_NONE before the call */
};

typedef void gradient_function(struct gradient_call *call);

/* Declares the function of every row; `no_gradient` stays undefined and is NULL in the table. */
#define OP(name, inputs, results, rule, attributes, flags, gradient, summary) gradient_function gradient;
#include "ir/ops.def"

/* Input 1 of a pointwise op has one axis and runs along the last axis of input 0, the same for every row. */
static inline bool gradient_is_broadcast(const struct gradient_call *call)
{
    const struct value *values = call->graph->values.items;
    return values[call->node.inputs[1]].rank < values[call->node.inputs[0]].rank;
}

#endif
