/* Pruning tokens: rows of the embedding and of the head, by one list whether they are tied or not. Kept
 * logits do not change; ids do, and the context's remap says how. */
#include "passes/plan.h"
#include <inttypes.h>
#include <string.h>

/* The new remap after one that may be there already. */
static void compose_remap(struct pass_context *context, uint32_t count_before, const uint32_t *list,
                          uint32_t count)
{
    const struct token_remap old = context->remap;
    uint32_t *kept = ARENA_ARRAY(&context->arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        kept[i] = old.count > 0 ? old.kept[list[i]] : list[i];
    context->remap = (struct token_remap){kept, count, old.count > 0 ? old.count_before : count_before};
}

enum status plan_vocab(struct plan *plan, int64_t count, const uint32_t *list, struct trace *trace)
{
    const struct dims *dims = &plan->graph->dims;
    const struct prunable *item = classes_get(&plan->classes, "vocab");
    TRY(plan_check(item, "vocab", count, item ? item->size : 1, trace));
    if (!list)
        return status_fail(trace, INVALID, "vocab: the tokens to keep must be listed");
    if (!item || count == item->size)
        return OK;
    if (dims_size(dims, item->leaf_out) != item->size)
        return status_fail(trace, UNSUPPORTED,
                           "vocab cannot be pruned: the embedding has %" PRId64 " rows, the head %" PRId64,
                           item->size, dims_size(dims, item->leaf_out));
    for (int64_t i = 0; i < count; i++)
        if (list[i] >= item->size)
            return status_fail(trace, INVALID, "vocab: token %" PRIu32 " does not exist, there are %" PRId64,
                               list[i], item->size);
    TRY(plan_class(plan, item, "vocab", count, list, trace));
    compose_remap(plan->context, (uint32_t)item->size, list, (uint32_t)count);
    return OK;
}

static enum status plan_options(struct plan *plan, const struct pass_call *call, struct trace *trace)
{
    const uint32_t *list;
    uint32_t count;
    TRY(pass_option_positions(&list, &count, call, "keep", plan->context, trace));
    if (!list)
        return status_fail(trace, INVALID, "prune_vocab needs keep");
    return plan_vocab(plan, count, list, trace);
}

enum status pass_prune_vocab(struct graph **out, const struct graph *graph, const struct pass_call *call,
                             struct pass_context *context, struct trace *trace)
{
    struct plan plan;
    enum status status = plan_begin(&plan, graph, context, trace);
    if (status == OK)
        status = plan_options(&plan, call, trace);
    if (status == OK)
        status = plan_apply(out, &plan, trace);
    plan_release(&plan);
    return status;
}
