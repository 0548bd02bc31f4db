/* Both summands receive dy; one that was broadcast receives its sum over rows. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_add(struct gradient_call *call)
{
    call->dx[0] = call->dy;
    if (call->needed[1])
        call->dx[1] =
            gradient_is_broadcast(call) ? build_unary(call->graph, OP_column_sum, call->dy) : call->dy;
}
