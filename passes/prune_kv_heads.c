/* Pruning key-value groups, each with the query heads that read it. */
#include "passes/plan.h"
#include <inttypes.h>
#include <stdio.h>

static enum status rank_groups(struct plan *plan, uint32_t layer, int64_t count, uint32_t *kept,
                               struct trace *trace)
{
    char name[64];
    const struct score *score;
    uint32_t heads = (uint32_t)plan->classes.shape.heads[layer],
             groups = (uint32_t)plan->classes.shape.kv_heads[layer];
    snprintf(name, sizeof name, "layers.%" PRIu32 ".heads", layer);
    TRY(scores_need(&score, plan->context->scores, name, heads, trace));
    float *sums = ARENA_ARRAY(&plan->arena, float, groups);
    for (uint32_t h = 0; h < heads; h++)
        sums[h / (heads / groups)] += score->values[h];
    scores_rank(sums, groups, (uint32_t)count, kept);
    return OK;
}

enum status plan_kv_heads(struct plan *plan, uint32_t layer, int64_t count, const uint32_t *list,
                          struct trace *trace)
{
    char name[64];
    int64_t groups = plan->classes.shape.kv_heads[layer];
    if (groups == 0)
        return OK; /* the layer has no attention */
    snprintf(name, sizeof name, "layers.%" PRIu32 ".kv_heads", layer);
    const struct prunable *item = classes_get(&plan->classes, name);
    TRY(plan_check(item, name, count, groups, trace));
    if (count == groups)
        return OK;
    if (!list) {
        uint32_t *kept = ARENA_ARRAY(&plan->arena, uint32_t, (size_t)count);
        TRY(rank_groups(plan, layer, count, kept, trace));
        list = kept;
    }
    return plan_class(plan, item, name, count, list, trace);
}

enum status pass_prune_kv_heads(struct graph **out, const struct graph *graph, const struct pass_call *call,
                                struct pass_context *context, struct trace *trace)
{
    return plan_layers(out, graph, call, "count", plan_kv_heads, context, trace);
}
