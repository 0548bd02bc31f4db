/* y = tanh x:  dx = dy (1 - y^2). */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_tanh(struct gradient_call *call)
{
    if (call->needed[0])
        call->dx[0] = build_binary(call->graph, OP_tanh_grad, call->node.results[0], call->dy);
}
