/* A rotation is orthogonal: the gradient is rotated back. The table itself is a constant. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_rope_part(struct gradient_call *call)
{
    if (!call->needed[0])
        return;
    uint32_t inputs[] = {call->dy, call->node.inputs[1]};
    struct build_attributes attributes = {.heads = node_integer(&call->node, ATTRIBUTE_heads),
                                          .inverse = !node_integer(&call->node, ATTRIBUTE_inverse)};
    call->dx[0] = build_op(call->graph, OP_rope_part, inputs, &attributes);
}
