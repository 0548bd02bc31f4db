/* y = max(x, 0):  dx = dy where x > 0. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_relu(struct gradient_call *call)
{
    if (call->needed[0])
        call->dx[0] = build_binary(call->graph, OP_relu_grad, call->node.inputs[0], call->dy);
}
