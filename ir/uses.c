#include "ir/uses.h"

static void find_tensors(struct uses *u, const struct graph *graph)
{
    for (uint32_t b = 0; b < u->spec->binding_count; b++)
        u->tensors[u->spec->bindings[b].value] = u->spec->bindings[b].tensor + 1;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if (op_table[node->op].flags & OP_VIEW)
            u->tensors[node->results[0]] = u->tensors[node->inputs[0]];
    }
}

struct uses uses_find(struct arena *arena, const struct program_spec *spec)
{
    const struct graph *graph = spec->graph;
    uint32_t values = graph->values.count;
    struct uses uses = {.spec = spec,
                        .reads = ARENA_ARRAY(arena, uint32_t, values + 1),
                        .outputs = ARENA_ARRAY(arena, bool, values + 1),
                        .tensors = ARENA_ARRAY(arena, uint32_t, values + 1)};
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        for (uint32_t i = 0; i < graph->nodes.items[n].input_count; i++)
            uses.reads[graph->nodes.items[n].inputs[i]]++;
    for (uint32_t o = 0; o < graph->outputs.count; o++)
        uses.outputs[graph->outputs.items[o].value] = true;
    find_tensors(&uses, graph);
    return uses;
}

int64_t uses_elements(const struct uses *uses, uint32_t value)
{
    const struct program_spec *spec = uses->spec;
    const struct value *v = graph_value(spec->graph, value);
    int64_t count = 1;
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t size = dims_evaluate(&spec->graph->dims, v->axes[i], spec->dims, spec->dim_count);
        if (size <= 0 || __builtin_mul_overflow(count, size, &count))
            return 0;
    }
    return count;
}

bool uses_is_stored(const struct uses *uses, uint32_t value)
{
    return uses->outputs[value] || uses->tensors[value] || uses->reads[value] == 0;
}

bool uses_overwrites(const struct uses *uses, const struct node *writer, const struct node *reader)
{
    for (uint32_t r = 0; r < writer->result_count; r++) {
        uint32_t tensor = uses->tensors[writer->results[r]];
        for (uint32_t i = 0; tensor && i < reader->input_count; i++)
            if (uses->tensors[reader->inputs[i]] == tensor)
                return true;
    }
    return false;
}
