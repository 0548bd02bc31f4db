/* Inputs and tensors are counted where they are read; outputs are bound to one of those. */
#include "train/step_memory.h"
#include "ir/memory_plan.h"

static int64_t count_of(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    int64_t count = 1;
    for (uint32_t i = 0; i < v->rank; i++)
        count *= dims_size(&graph->dims, v->axes[i]);
    return count;
}

/* Of slots that only the update has: moments, its numbers. */
static bool is_of_update(const struct slot *slot)
{
    return slot->role == SLOT_FIRST || slot->role == SLOT_SECOND || slot->role == SLOT_HYPER;
}

static int64_t count_bound(const struct step_graph *graph, bool of_update)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < graph->slots.count; i++) {
        const struct slot *slot = &graph->slots.items[i];
        bool is_result = graph_value(graph->graph, slot->value)->origin == VALUE_NODE;
        if (!is_result && (!of_update || is_of_update(slot)))
            count += count_of(graph->graph, slot->value);
    }
    return count;
}

enum status step_memory(int64_t *bytes, const struct step *step, struct trace *trace)
{
    struct arena arena = {0};
    struct memory_plan plan;
    const struct step_graph *micro = &step->micro;
    struct binding *bindings = ARENA_ARRAY(&arena, struct binding, micro->slots.count);
    for (uint32_t i = 0; i < micro->slots.count; i++) /* an output is bound to its input's tensor */
        bindings[i] = (struct binding){micro->slots.items[i].value, micro->slots.items[i].role == SLOT_SUM
                                                                        ? micro->slots.items[i].index
                                                                        : step_sums(step) + i};
    struct program_spec spec = {
        .graph = micro->graph, .bindings = bindings, .binding_count = micro->slots.count};
    int64_t count = count_bound(micro, false) + count_bound(&step->update, true);
    enum status status = memory_plan_make(&plan, &arena, &spec, (struct memory_limits){0}, trace);
    for (uint32_t i = 0; status == OK && i < plan.scratch_count; i++)
        count += plan.scratch_sizes[i];
    for (uint32_t i = 0; step->fold.graph && i < step_sums(step); i++)
        count += step_sum_size(step, i); /* the step's totals beside a lane's sums */
    *bytes = count * (int64_t)sizeof(float);
    arena_release(&arena);
    return status;
}
