/* Embedding: a row of the table receives the sum of the gradients of the places that picked it. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

void gradient_embed(struct gradient_call *call)
{
    const struct value *table = graph_value(call->graph, call->node.inputs[0]);
    if (!call->needed[0])
        return;
    uint32_t inputs[] = {call->node.inputs[1], call->dy};
    struct build_attributes attributes = {.rows = dims_size(&call->graph->dims, table->axes[0])};
    call->dx[0] = build_op(call->graph, OP_embed_grad, inputs, &attributes);
}
