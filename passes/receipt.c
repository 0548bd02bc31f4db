/* Counting operations from shapes. */
#include "passes/receipt.h"

const char *contract_name(enum contract contract)
{
    static const char *const names[] = {"exact", "renormalising", "approximate"};
    return names[contract];
}

static int64_t last_size(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return dims_size(&graph->dims, v->axes[v->rank - 1]);
}

struct flops flops_count(const struct graph *graph)
{
    struct flops flops = {0};
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if (node->op == OP_matmul_nt || node->op == OP_matmul_nn)
            flops.token += 2 * last_size(graph, node->inputs[0]) * last_size(graph, node->results[0]);
        if (op_is_attention(node->op))
            flops.key += 2 * (last_size(graph, node->inputs[0]) + last_size(graph, node->results[0]));
    }
    return flops;
}
