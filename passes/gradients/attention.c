/* Attention, with its weights p computed again from the row statistics (Dao 2023, algorithm 2; no table of
 * scores is kept): delta = rowsum(o do),  t = p (do v^T - delta),  dq = scale t k,  dk = scale t^T q,  dv =
 * p^T do. */
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"

/* `op` is attention's gradient, whose operands after those of the plain one are attention's after q, k, v. */
static void pull_back(struct gradient_call *call, enum op op)
{
    struct graph *graph = call->graph;
    const struct node *node = &call->node;
    struct build_attributes attributes = {
        .heads = node_integer(node, ATTRIBUTE_heads),
        .kv_heads = node_integer(node, ATTRIBUTE_kv_heads),
        .scale = node_real(node, ATTRIBUTE_scale),
        .causal = node_integer(node, ATTRIBUTE_causal),
        .window = node_integer(node, ATTRIBUTE_window),
        .softcap = node_softcap(node),
    };
    uint32_t pair[] = {node->results[0], call->dy};
    uint32_t delta = build_op(graph, OP_attention_delta, pair, &attributes);
    uint32_t inputs[] = {node->inputs[0],  node->inputs[1], node->inputs[2], call->dy,
                         node->results[1], delta,           node->inputs[3]};
    call->dx[0] = build_op(graph, op, inputs, &attributes);
    call->dx[1] = build_result(graph, call->dx[0], 1);
    call->dx[2] = build_result(graph, call->dx[0], 2);
}

void gradient_attention(struct gradient_call *call)
{
    pull_back(call, OP_attention_grad);
}

/* Slopes are constants. */
void gradient_sloped_attention(struct gradient_call *call)
{
    pull_back(call, OP_sloped_attention_grad);
}
