/* Pruning channels of the residual stream: columns of the embedding and of every weight that reads the
 * stream, rows of those that write it, elements of norms. Norms then average over fewer channels. */
#include "passes/plan.h"

enum status plan_hidden(struct plan *plan, int64_t count, const uint32_t *list, struct trace *trace)
{
    return plan_class(plan, classes_get(&plan->classes, "hidden"), "hidden", count, list, trace);
}

static enum status plan_options(struct plan *plan, const struct pass_call *call, struct trace *trace)
{
    const uint32_t *list;
    uint32_t list_count;
    int64_t count;
    TRY(pass_option_positions(&list, &list_count, call, "keep", plan->context, trace));
    TRY(pass_option_size(&count, call, "size", trace));
    if (!list == !count)
        return status_fail(trace, INVALID, "prune_hidden needs either size or keep");
    return plan_hidden(plan, list ? list_count : count, list, trace);
}

enum status pass_prune_hidden(struct graph **out, const struct graph *graph, const struct pass_call *call,
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
