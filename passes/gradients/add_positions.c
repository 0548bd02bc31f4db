/* y[b][s] = x[b][s] + table[start + s]:  dx = dy, and a row of the table receives dy of its position from
 * every sequence. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_add_positions(struct gradient_call *call)
{
    const struct value *table = graph_value(call->graph, call->node.inputs[1]);
    struct build_attributes attributes = {.start = node_integer(&call->node, ATTRIBUTE_start),
                                          .rows = dims_size(&call->graph->dims, table->axes[0])};
    call->dx[0] = call->dy;
    if (call->needed[1])
        call->dx[1] = build_op(call->graph, OP_add_positions_grad, &call->dy, &attributes);
}
