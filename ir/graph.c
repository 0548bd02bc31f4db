/* Graphs: creation and questions. Construction is in build.c. */
#include "ir/graph.h"
#include <assert.h>
#include <stdlib.h>

struct graph *graph_create(void)
{
    struct arena arena = {0};
    struct graph *graph = ARENA_NEW(&arena, struct graph);
    graph->arena = arena;
    graph->dims.arena = &graph->arena;
    return graph;
}

void graph_destroy(struct graph *graph)
{
    if (!graph)
        return;
    struct arena arena = graph->arena; /* the graph itself lives in it */
    arena_release(&arena);
}

const struct value *graph_value(const struct graph *graph, uint32_t id)
{
    assert(id < graph->values.count);
    return &graph->values.items[id];
}

uint32_t graph_find_input(const struct graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->inputs.count; i++)
        if (str_is(graph->inputs.items[i].name, name))
            return graph->inputs.items[i].value;
    return ID_NONE;
}

uint32_t graph_find_output(const struct graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->outputs.count; i++)
        if (str_is(graph->outputs.items[i].name, name))
            return graph->outputs.items[i].value;
    return ID_NONE;
}

static const struct attribute *find_attribute(const struct node *node, enum attribute_key key)
{
    for (uint32_t i = 0; i < node->attribute_count; i++)
        if (node->attributes[i].key == key)
            return &node->attributes[i];
    BUG("%s has no attribute %s", op_table[node->op].name, attribute_table[key].name);
}

int64_t node_integer(const struct node *node, enum attribute_key key)
{
    return find_attribute(node, key)->integer;
}

float node_real(const struct node *node, enum attribute_key key)
{
    return find_attribute(node, key)->real;
}

float node_softcap(const struct node *node)
{
    for (uint32_t i = 0; i < node->attribute_count; i++)
        if (node->attributes[i].key == ATTRIBUTE_softcap)
            return node->attributes[i].real;
    return 0;
}

bool node_reads_constant(const struct node *node, uint32_t value)
{
    uint32_t input = op_constant_input(node->op);
    return input != UINT32_MAX && node->inputs[input] == value;
}

/* Tables such as rotary frequencies are not something that was learned. */
int64_t graph_parameters(const struct graph *graph)
{
    struct arena scratch = {0};
    bool *is_table = ARENA_ARRAY(&scratch, bool, graph->values.count);
    int64_t total = 0;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        uint32_t input = op_constant_input(graph->nodes.items[n].op);
        if (input != UINT32_MAX)
            is_table[graph->nodes.items[n].inputs[input]] = true;
    }
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        if (!is_table[graph->tensors.items[i].value])
            total += tensor_view_count(&graph->tensors.items[i].view);
    arena_release(&scratch);
    return total;
}
