/* y = x (1 + t) / 2 with t = tanh(u(x)):  dx = dy ((1 + t) / 2 + x (1 - t^2) u' / 2). */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_gelu_tanh(struct gradient_call *call)
{
    if (call->needed[0])
        call->dx[0] = build_binary(call->graph, OP_gelu_tanh_grad, call->node.inputs[0], call->dy);
}
