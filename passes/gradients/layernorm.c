/* Layer normalisation, from the mean m and the reciprocal root r that the forward pass kept:
 * dx = r (g - mean(g) - h mean(g h)) with h = (x - m) r and g = dy w,  dw = sum over rows of h dy. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_layernorm(struct gradient_call *call)
{
    uint32_t x = call->node.inputs[0], w = call->node.inputs[1];
    uint32_t m = call->node.results[1], r = call->node.results[2];
    if (call->needed[0]) {
        uint32_t inputs[] = {x, w, m, r, call->dy};
        call->dx[0] = build_op(call->graph, OP_layernorm_grad, inputs, NULL);
    }
    if (call->needed[1]) {
        uint32_t inputs[] = {x, m, r, call->dy};
        call->dx[1] = build_op(call->graph, OP_layernorm_weight_grad, inputs, NULL);
    }
}
