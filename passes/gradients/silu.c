/* y = x s(x):  dx = dy s (1 + x (1 - s)). */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_silu(struct gradient_call *call)
{
    if (call->needed[0])
        call->dx[0] = build_binary(call->graph, OP_silu_grad, call->node.inputs[0], call->dy);
}
