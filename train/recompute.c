/* The nodes are listed anew: copies come just ahead of their reader, depth first, so operands precede. */
#include "train/recompute.h"
#include <assert.h>

struct walk {
    struct graph *graph;
    const struct recompute_request *request;
    bool *is_kept;    /* by value */
    uint32_t *copies; /* by value: its copy, or ID_NONE */
    VEC(struct node) nodes;
};

static uint32_t copy_of(struct walk *walk, uint32_t value);

static void place(struct walk *walk, struct node node)
{
    for (uint32_t r = 0; r < node.result_count; r++)
        walk->graph->values.items[node.results[r]].source = walk->nodes.count;
    *VEC_PUSH(&walk->graph->arena, &walk->nodes) = node;
}

/* What stands for `value` on the way back. */
static uint32_t copy_of(struct walk *walk, uint32_t value)
{
    struct graph *graph = walk->graph;
    const struct value *v = graph_value(graph, value);
    /* Nodes of the forward pass have not moved: nothing is put before them. */
    bool is_forward =
        v->origin == VALUE_NODE && v->source >= walk->request->first && v->source < walk->request->end;
    if (!is_forward || walk->is_kept[value])
        return value;
    if (walk->copies[value] != ID_NONE)
        return walk->copies[value];
    struct node node = graph->nodes.items[v->source];
    for (uint32_t i = 0; i < node.input_count; i++)
        node.inputs[i] = copy_of(walk, node.inputs[i]);
    for (uint32_t r = 0; r < node.result_count; r++) {
        uint32_t result = graph->values.count;
        struct value copy = *graph_value(graph, node.results[r]);
        *VEC_PUSH(&graph->arena, &graph->values) = copy;
        walk->copies[node.results[r]] = result;
        node.results[r] = result;
    }
    place(walk, node);
    return walk->copies[value];
}

void recompute_forward(struct graph *graph, const struct recompute_request *request)
{
    uint32_t values = graph->values.count;
    struct walk walk = {.graph = graph,
                        .request = request,
                        .is_kept = ARENA_ARRAY(&graph->arena, bool, values),
                        .copies = ARENA_ARRAY(&graph->arena, uint32_t, values)};
    assert(request->first <= request->end && request->end <= request->back);
    for (uint32_t i = 0; i < values; i++)
        walk.copies[i] = ID_NONE;
    for (uint32_t i = 0; i < request->kept_count; i++)
        walk.is_kept[request->kept[i]] = true;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        struct node node = graph->nodes.items[n];
        for (uint32_t i = 0; i < node.input_count && n >= request->back; i++)
            node.inputs[i] = copy_of(&walk, node.inputs[i]);
        place(&walk, node);
    }
    graph->nodes.items = walk.nodes.items;
    graph->nodes.count = walk.nodes.count;
    graph->nodes.capacity = walk.nodes.capacity;
}
