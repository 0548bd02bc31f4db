/* Pruning query heads, as many in every key-value group: heads that are left keep the group they read. Where
 * the groups cannot differ in what they keep, heads are ranked by their sum over groups. */
#include "passes/plan.h"
#include <inttypes.h>
#include <stdio.h>

struct heads {
    int64_t all, groups, each; /* before: all = groups * each */
    int64_t left;              /* of each group */
    bool by_group;             /* lists may differ between groups */
};

/* Heads numbered over all groups -> positions within each group. */
static enum status split_list(const struct prunable *item, const struct heads *h, const uint32_t *list,
                              uint32_t *lists, struct trace *trace)
{
    for (int64_t i = 0; i < h->groups * h->left; i++) {
        int64_t group = i / h->left;
        if (list[i] >= h->all)
            return status_fail(trace, INVALID, "%s: head %" PRIu32 " does not exist, there are %" PRId64,
                               item->name, list[i], h->all);
        if (list[i] / h->each != group)
            return status_fail(trace, INVALID,
                               "%s: every key-value group must keep as many heads; group %" PRId64
                               " does not keep %" PRId64,
                               item->name, group, h->left);
        uint32_t position = (uint32_t)(list[i] % h->each);
        uint32_t *to = &lists[h->by_group ? i : i % h->left];
        if (!h->by_group && group > 0 && *to != position)
            return status_fail(trace, INVALID,
                               "%s: in this graph all key-value groups must keep the same heads", item->name);
        *to = position;
    }
    return OK;
}

/* The best heads of the layer, wherever they are. */
static enum status rank_globally(struct plan *plan, const struct prunable *item, const struct heads *h,
                                 const struct score *score, uint32_t *lists, struct trace *trace)
{
    uint32_t keep = (uint32_t)(h->groups * h->left);
    uint32_t *kept = ARENA_ARRAY(&plan->arena, uint32_t, keep);
    scores_rank(score->values, score->count, keep, kept);
    for (uint32_t i = 0; i < keep; i++)
        if (kept[i] / h->each != i / h->left)
            return status_fail(trace, INVALID,
                               "%s: the best %" PRIu32 " heads are not as many in each of the %" PRId64
                               " key-value groups; rank heads within groups instead",
                               item->name, keep, h->groups);
    return split_list(item, h, kept, lists, trace);
}

static enum status rank_heads(struct plan *plan, const struct prunable *item, const struct heads *h,
                              uint32_t *lists, struct trace *trace)
{
    const struct score *score;
    TRY(scores_need(&score, plan->context->scores, item->name, (uint32_t)h->all, trace));
    if (plan->rank_globally)
        return rank_globally(plan, item, h, score, lists, trace);
    if (h->by_group) {
        for (int64_t g = 0; g < h->groups; g++)
            scores_rank(score->values + g * h->each, (uint32_t)h->each, (uint32_t)h->left,
                        lists + g * h->left);
        return OK;
    }
    float *sums = ARENA_ARRAY(&plan->arena, float, (size_t)h->each);
    for (int64_t i = 0; i < h->all; i++)
        sums[i % h->each] += score->values[i];
    scores_rank(sums, (uint32_t)h->each, (uint32_t)h->left, lists);
    return OK;
}

static enum status check_heads(struct heads *h, const char *name, int64_t count, int64_t groups_left,
                               struct trace *trace)
{
    if (count < 1 || count % groups_left != 0)
        return status_fail(
            trace, INVALID,
            "%s: %" PRId64 " heads in all were asked for, which is not a multiple of the %" PRId64
            " key-value heads; each of these must keep as many%s",
            name, count, groups_left,
            groups_left > 1 && count < groups_left ? " (fewer kv_heads can be asked for)" : "");
    h->left = count / groups_left;
    if (h->left > h->each)
        return status_fail(trace, INVALID,
                           "%s: %" PRId64 " heads in all were asked for, there are %" PRId64 " (%" PRId64
                           " to each of %" PRId64 " key-value heads)",
                           name, count, h->each * groups_left, h->each, groups_left);
    return OK;
}

enum status plan_heads(struct plan *plan, uint32_t layer, int64_t count, int64_t groups, const uint32_t *list,
                       struct trace *trace)
{
    char name[64];
    const struct shape *shape = &plan->classes.shape;
    struct heads h = {.all = shape->heads[layer], .groups = shape->kv_heads[layer]};
    if (h.all == 0)
        return OK; /* the layer has no attention */
    h.each = h.all / h.groups;
    snprintf(name, sizeof name, "layers.%" PRIu32 ".heads", layer);
    TRY(check_heads(&h, name, count, groups > 0 ? groups : h.groups, trace));
    if (h.left == h.each)
        return OK;
    const struct prunable *item = classes_get(&plan->classes, name);
    if (!item)
        return status_fail(trace, UNSUPPORTED, "%s cannot be pruned: heads are no factor of their own", name);
    TRY(plan_check(item, name, h.left, h.each, trace));
    h.by_group = item->parent != DIM_NONE;
    if (plan->rank_globally && groups > 0 && groups < h.groups)
        return status_fail(trace, INVALID,
                           "%s: heads of all groups cannot be ranked together where some of the groups go",
                           name);
    uint32_t *lists = ARENA_ARRAY(&plan->arena, uint32_t, (size_t)(h.groups * h.left));
    TRY(list ? split_list(item, &h, list, lists, trace) : rank_heads(plan, item, &h, lists, trace));
    plan_add(plan, item, (uint32_t)h.left, lists);
    return OK;
}

static enum status plan_all_groups(struct plan *plan, uint32_t layer, int64_t count, const uint32_t *list,
                                   struct trace *trace)
{
    return plan_heads(plan, layer, count, 0, list, trace);
}

enum status pass_prune_heads(struct graph **out, const struct graph *graph, const struct pass_call *call,
                             struct pass_context *context, struct trace *trace)
{
    return plan_layers(out, graph, call, "count", plan_all_groups, context, trace);
}
