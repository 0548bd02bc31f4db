/* Collecting keep lists. */
#include "passes/plan.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum status plan_begin(struct plan *plan, const struct graph *graph, struct pass_context *context,
                       struct trace *trace)
{
    *plan = (struct plan){.graph = graph, .context = context};
    return classes_find(&plan->classes, &plan->arena, graph, trace);
}

void plan_release(struct plan *plan)
{
    arena_release(&plan->arena);
}

enum status plan_apply(struct graph **out, const struct plan *plan, struct trace *trace)
{
    return reindex(out, plan->graph, plan->keeps.items, plan->keeps.count, trace);
}

enum status plan_check(const struct prunable *item, const char *name, int64_t count, int64_t there,
                       struct trace *trace)
{
    if (count < 1 || count > there)
        return status_fail(trace, INVALID, "%s: %" PRId64 " asked for, there %s %" PRId64, name, count,
                           there == 1 ? "is" : "are", there);
    if (item && item->exactness == REFUSED && count != there)
        return status_fail(trace, UNSUPPORTED, "%s cannot be pruned: %s", name, item->reason);
    return OK;
}

void plan_add(struct plan *plan, const struct prunable *item, uint32_t count, const uint32_t *lists)
{
    struct keep keep = {item->leaf, count, item->parent, lists};
    *VEC_PUSH(&plan->arena, &plan->keeps) = keep;
    if (item->leaf_out != item->leaf) {
        keep.leaf = item->leaf_out;
        *VEC_PUSH(&plan->arena, &plan->keeps) = keep;
    }
    if (item->exactness == RENORMALISES && plan->context->contract < CONTRACT_RENORMALISING)
        plan->context->contract = CONTRACT_RENORMALISING;
}

/* The same list for each position of the parent. */
static const uint32_t *repeat_list(struct plan *plan, const struct prunable *item, const uint32_t *list,
                                   uint32_t count)
{
    if (item->parent == DIM_NONE)
        return list;
    uint32_t times = (uint32_t)dims_size(&plan->graph->dims, item->parent);
    uint32_t *lists = ARENA_ARRAY(&plan->arena, uint32_t, (size_t)times * count);
    for (uint32_t i = 0; i < times; i++)
        memcpy(lists + (size_t)i * count, list, count * sizeof *list);
    return lists;
}

enum status plan_class(struct plan *plan, const struct prunable *item, const char *name, int64_t count,
                       const uint32_t *list, struct trace *trace)
{
    TRY(plan_check(item, name, count, item ? item->size : 1, trace));
    if (!item || count == item->size)
        return OK;
    uint32_t *kept = ARENA_ARRAY(&plan->arena, uint32_t, (size_t)count);
    if (list) {
        memcpy(kept, list, (size_t)count * sizeof *kept);
    } else {
        const struct score *score;
        TRY(scores_need(&score, plan->context->scores, item->name, (uint32_t)item->size, trace));
        scores_rank(score->values, score->count, (uint32_t)count, kept);
    }
    plan_add(plan, item, (uint32_t)count, repeat_list(plan, item, kept, (uint32_t)count));
    return OK;
}

static enum status check_layer(const struct plan *plan, uint32_t layer, struct trace *trace)
{
    uint32_t layers = plan->classes.shape.layers;
    if (layer < layers)
        return OK;
    return status_fail(trace, INVALID, "layer %" PRIu32 " does not exist: the model has %" PRIu32 " layers",
                       layer, layers);
}

static enum status plan_parts(struct plan *plan, const struct pass_call *call, const char *size,
                              plan_part *part, struct trace *trace)
{
    const uint32_t *layers, *list;
    uint32_t layer_count, list_count;
    int64_t count;
    TRY(pass_option_positions(&layers, &layer_count, call, "layers", plan->context, trace));
    TRY(pass_option_positions(&list, &list_count, call, "keep", plan->context, trace));
    TRY(pass_option_size(&count, call, size, trace));
    if (!list == !count)
        return status_fail(trace, INVALID, "%s needs either %s or keep", pass_table[call->pass].name, size);
    bool all = layer_count == 0;
    for (uint32_t i = 0; i < (all ? plan->classes.shape.layers : layer_count); i++) {
        uint32_t layer = all ? i : layers[i];
        TRY(check_layer(plan, layer, trace));
        TRY(part(plan, layer, list ? list_count : count, list, trace));
    }
    return OK;
}

enum status plan_layers(struct graph **out, const struct graph *graph, const struct pass_call *call,
                        const char *size, plan_part *part, struct pass_context *context, struct trace *trace)
{
    struct plan plan;
    enum status status = plan_begin(&plan, graph, context, trace);
    if (status == OK)
        status = plan_parts(&plan, call, size, part, trace);
    if (status == OK)
        status = plan_apply(out, &plan, trace);
    plan_release(&plan);
    return status;
}
