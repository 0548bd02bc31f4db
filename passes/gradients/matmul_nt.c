/* y = x w^T:  dx = dy w,  dw = dy^T x. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_matmul_nt(struct gradient_call *call)
{
    uint32_t x = call->node.inputs[0], w = call->node.inputs[1];
    if (call->needed[0])
        call->dx[0] = build_binary(call->graph, OP_matmul_nn, call->dy, w);
    if (call->needed[1])
        call->dx[1] = build_binary(call->graph, OP_matmul_tn, call->dy, x);
}
