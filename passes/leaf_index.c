/* Counting sort by leaf: one sweep counts, one puts the items in their places. */
#include "passes/leaf_index.h"
#include <string.h>

struct sweep {
    const struct graph *graph;
    uint32_t *starts, *items; /* items: NULL while counting */
    uint32_t *last;           /* leaf -> the item that was added last, plus one */
};

static void add_leaves(struct sweep *s, uint32_t value, uint32_t item)
{
    const struct dims *dims = &s->graph->dims;
    const struct value *v = graph_value(s->graph, value);
    for (uint32_t a = 0; a < v->rank; a++) {
        uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(dims, v->axes[a], leaves);
        for (uint32_t l = 0; l < count; l++) {
            if (s->last[leaves[l]] == item + 1)
                continue;
            s->last[leaves[l]] = item + 1;
            if (s->items)
                s->items[s->starts[leaves[l]]] = item;
            s->starts[leaves[l]]++;
        }
    }
}

static void sweep_values(struct sweep *s)
{
    for (uint32_t v = 0; v < s->graph->values.count; v++)
        add_leaves(s, v, v);
}

static void sweep_nodes(struct sweep *s)
{
    for (uint32_t n = 0; n < s->graph->nodes.count; n++)
        for (uint32_t i = 0; i < s->graph->nodes.items[n].input_count; i++)
            add_leaves(s, s->graph->nodes.items[n].inputs[i], n);
}

static struct leaf_index make(struct arena *arena, const struct graph *graph, void (*sweep)(struct sweep *))
{
    uint32_t terms = graph->dims.terms.count, total = 0;
    struct arena scratch = {0};
    struct sweep s = {.graph = graph,
                      .starts = ARENA_ARRAY(arena, uint32_t, terms + 1),
                      .last = ARENA_ARRAY(&scratch, uint32_t, terms)};
    sweep(&s);
    for (uint32_t t = 0; t <= terms; t++) {
        uint32_t count = t < terms ? s.starts[t] : 0;
        s.starts[t] = total;
        total += count;
    }
    s.items = ARENA_ARRAY(arena, uint32_t, total + 1);
    memset(s.last, 0, terms * sizeof *s.last);
    sweep(&s);
    for (uint32_t t = terms; t > 0; t--) /* each start has moved to the next one's */
        s.starts[t] = s.starts[t - 1];
    s.starts[0] = 0;
    arena_release(&scratch);
    return (struct leaf_index){s.starts, s.items};
}

struct leaf_index leaf_index_values(struct arena *arena, const struct graph *graph)
{
    return make(arena, graph, sweep_values);
}

struct leaf_index leaf_index_nodes(struct arena *arena, const struct graph *graph)
{
    return make(arena, graph, sweep_nodes);
}

uint32_t leaf_index_get(const struct leaf_index *index, uint32_t leaf, const uint32_t **items)
{
    *items = index->items + index->starts[leaf];
    return index->starts[leaf + 1] - index->starts[leaf];
}
