#include "ir/finite.h"

bool *finite_watched(struct arena *arena, const struct graph *graph)
{
    bool *watched = ARENA_ARRAY(arena, bool, graph->values.count + 1);
    for (uint32_t v = 0; v < graph->values.count; v++)
        watched[v] = graph_value(graph, v)->origin == VALUE_NODE && graph_value(graph, v)->dtype == DTYPE_F32;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        for (uint32_t i = 0; i < node->input_count && (op_table[node->op].flags & OP_SHOWS); i++)
            watched[node->inputs[i]] = false;
    }
    return watched;
}
