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

static bool is_of_route(const struct slot *slot)
{
    return slot->role == SLOT_TEACHER || slot->role == SLOT_KEPT_IDS || slot->role == SLOT_KEPT_LOGS ||
           slot->role == SLOT_KEPT_REST;
}

static int64_t count_bound(const struct step_graph *graph, bool (*is_counted)(const struct slot *slot))
{
    int64_t count = 0;
    for (uint32_t i = 0; i < graph->slots.count; i++) {
        const struct slot *slot = &graph->slots.items[i];
        bool is_result = graph_value(graph->graph, slot->value)->origin == VALUE_NODE;
        if (!is_result && (!is_counted || is_counted(slot)))
            count += count_of(graph->graph, slot->value);
    }
    return count;
}

/* What the program of a micro graph needs besides what is bound. */
static enum status count_scratch(int64_t *count, const struct step *step, const struct step_graph *micro,
                                 struct trace *trace)
{
    struct arena arena = {0};
    struct memory_plan plan;
    struct binding *bindings = ARENA_ARRAY(&arena, struct binding, micro->slots.count);
    for (uint32_t i = 0; i < micro->slots.count; i++) /* an output is bound to its input's tensor */
        bindings[i] = (struct binding){micro->slots.items[i].value, micro->slots.items[i].role == SLOT_SUM
                                                                        ? micro->slots.items[i].index
                                                                        : step_sums(step) + i};
    struct program_spec spec = {
        .graph = micro->graph, .bindings = bindings, .binding_count = micro->slots.count};
    enum status status = memory_plan_make(&plan, &arena, &spec, (struct memory_limits){0}, trace);
    for (uint32_t i = 0; status == OK && i < plan.scratch_count; i++)
        *count += plan.scratch_sizes[i];
    arena_release(&arena);
    return status;
}

enum status step_memory(int64_t *bytes, const struct step *step, struct trace *trace)
{
    int64_t count = count_bound(&step->micros[0], NULL) + count_bound(&step->update, is_of_update);
    for (uint32_t i = 0; i < step->route_count; i++) {
        TRY(count_scratch(&count, step, &step->micros[i], trace));
        count += i == 0 ? 0 : count_bound(&step->micros[i], is_of_route);
    }
    for (uint32_t i = 0; step->fold.graph && i < step_sums(step); i++)
        count += step_sum_size(step, i); /* the step's totals beside a lane's sums */
    *bytes = count * (int64_t)sizeof(float);
    return OK;
}
