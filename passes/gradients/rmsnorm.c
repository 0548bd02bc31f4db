/* Root mean square normalisation, from the reciprocal root r that the forward pass kept:
 * dx = r g - x r^3 mean(g x) with g = dy w,  dw = sum over rows of x r dy. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_rmsnorm(struct gradient_call *call)
{
    uint32_t x = call->node.inputs[0], w = call->node.inputs[1], r = call->node.results[1];
    if (call->needed[0]) {
        uint32_t inputs[] = {x, w, r, call->dy};
        call->dx[0] = build_op(call->graph, OP_rmsnorm_grad, inputs, NULL);
    }
    if (call->needed[1]) {
        uint32_t inputs[] = {x, r, call->dy};
        call->dx[1] = build_op(call->graph, OP_rmsnorm_weight_grad, inputs, NULL);
    }
}
