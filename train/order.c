/* A stable counting sort of the nodes by the node they follow. */
#include "train/order.h"
#include <assert.h>

static bool is_output(const struct graph *graph, const struct node *node)
{
    for (uint32_t o = 0; o < graph->outputs.count; o++)
        if (graph->outputs.items[o].value == node->results[0])
            return true;
    return false;
}

/* The node of the latest operand, ID_NONE when all are inputs or weights. */
static uint32_t last_producer(const struct graph *graph, const struct node *node)
{
    uint32_t last = ID_NONE;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct value *value = graph_value(graph, node->inputs[i]);
        if (value->origin == VALUE_NODE && (last == ID_NONE || value->source > last))
            last = value->source;
    }
    return last;
}

static bool is_read(const struct graph *graph, uint32_t value)
{
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        for (uint32_t i = 0; i < graph->nodes.items[n].input_count; i++)
            if (graph->nodes.items[n].inputs[i] == value)
                return true;
    return false;
}

void order_outputs_early(struct graph *graph)
{
    uint32_t count = graph->nodes.count, placed = 0;
    uint32_t *after =
        ARENA_ARRAY(&graph->arena, uint32_t, count); /* the node a moved one follows, else itself */
    for (uint32_t n = 0; n < count; n++) {
        const struct node *node = &graph->nodes.items[n];
        uint32_t last = last_producer(graph, node);
        bool moves = last != ID_NONE && is_output(graph, node) && !is_read(graph, node->results[0]);
        after[n] = moves ? last : n;
    }
    struct node *nodes = ARENA_ARRAY(&graph->arena, struct node, count);
    for (uint32_t n = 0; n < count; n++) {
        if (after[n] == n)
            nodes[placed++] = graph->nodes.items[n];
        for (uint32_t m = n + 1; m < count && after[n] == n; m++)
            if (after[m] == n)
                nodes[placed++] = graph->nodes.items[m];
    }
    assert(placed == count);
    graph->nodes.items = nodes;
    graph->nodes.capacity = count;
    for (uint32_t n = 0; n < count; n++)
        for (uint32_t r = 0; r < nodes[n].result_count; r++)
            graph->values.items[nodes[n].results[r]].source = n;
}
