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

/* Whether the tensor of a slot is that of an earlier one, of this route or one before. */
static bool is_counted(const struct step *step, uint32_t route, uint32_t index)
{
    const struct slot *slot = &step->micros[route].slots.items[index];
    for (uint32_t r = 0; r <= route; r++) {
        uint32_t end = r == route ? index : step->micros[r].slots.count;
        for (uint32_t i = 0; i < end; i++) {
            const struct slot *other = &step->micros[r].slots.items[i];
            if (other->role == slot->role && other->index == slot->index && other->teacher == slot->teacher)
                return true;
        }
    }
    return false;
}

static int64_t count_bound(const struct step *step, uint32_t route, enum step_teachers teachers)
{
    int64_t count = 0;
    const struct step_graph *micro = &step->micros[route];
    for (uint32_t i = 0; i < micro->slots.count; i++) {
        const struct slot *slot = &micro->slots.items[i];
        bool is_lent =
            slot->role == SLOT_TEACHER && slot->teacher == 0 && teachers == STEP_FIRST_TEACHER_LENT;
        if (graph_value(micro->graph, slot->value)->origin != VALUE_NODE && !is_lent &&
            !is_counted(step, route, i))
            count += count_of(micro->graph, slot->value);
    }
    return count;
}

static int64_t count_update(const struct step_graph *update)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < update->slots.count; i++)
        if (graph_value(update->graph, update->slots.items[i].value)->origin != VALUE_NODE &&
            is_of_update(&update->slots.items[i]))
            count += count_of(update->graph, update->slots.items[i].value);
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

enum status step_memory(int64_t *bytes, const struct step *step, enum step_teachers teachers,
                        struct trace *trace)
{
    int64_t count = count_update(&step->update);
    for (uint32_t i = 0; i < step->route_count; i++) {
        TRY(count_scratch(&count, step, &step->micros[i], trace));
        count += count_bound(step, i, teachers);
    }
    for (uint32_t i = 0; step->fold.graph && i < step_sums(step); i++)
        count += step_sum_size(step, i); /* the step's totals beside a lane's sums */
    *bytes = count * (int64_t)sizeof(float);
    return OK;
}
