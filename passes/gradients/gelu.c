/* y = x P(x), P the probability of less under a normal distribution:  dx = dy (P + x P'). */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_gelu(struct gradient_call *call)
{
    if (call->needed[0])
        call->dx[0] = build_binary(call->graph, OP_gelu_grad, call->node.inputs[0], call->dy);
}
