/* da = dy b,  db = dy a, summed over rows where b was broadcast. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_mul(struct gradient_call *call)
{
    uint32_t a = call->node.inputs[0], b = call->node.inputs[1];
    if (call->needed[0])
        call->dx[0] = build_binary(call->graph, OP_mul, call->dy, b);
    if (!call->needed[1])
        return;
    uint32_t db = build_binary(call->graph, OP_mul, call->dy, a);
    call->dx[1] = gradient_is_broadcast(call) ? build_unary(call->graph, OP_column_sum, db) : db;
}
