/* As rmsnorm, each head a row of its own. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_head_rmsnorm(struct gradient_call *call)
{
    uint32_t x = call->node.inputs[0], w = call->node.inputs[1], r = call->node.results[1];
    struct build_attributes attributes = {.heads = node_integer(&call->node, ATTRIBUTE_heads)};
    if (call->needed[0]) {
        uint32_t inputs[] = {x, w, r, call->dy};
        call->dx[0] = build_op(call->graph, OP_head_rmsnorm_grad, inputs, &attributes);
    }
    if (call->needed[1]) {
        uint32_t inputs[] = {x, r, call->dy};
        call->dx[1] = build_op(call->graph, OP_head_rmsnorm_weight_grad, inputs, &attributes);
    }
}
