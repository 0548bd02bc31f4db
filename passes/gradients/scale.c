/* y = c x:  dx = c dy. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_scale(struct gradient_call *call)
{
    struct build_attributes attributes = {.scale = node_real(&call->node, ATTRIBUTE_scale)};
    if (call->needed[0])
        call->dx[0] = build_op(call->graph, OP_scale, &call->dy, &attributes);
}
