/* Pruning the hidden neurons of MLPs: rows of the gate and up weights, columns of the down weight. */
#include "passes/plan.h"
#include <inttypes.h>
#include <stdio.h>

enum status plan_ffn(struct plan *plan, uint32_t layer, int64_t count, const uint32_t *list,
                     struct trace *trace)
{
    char name[64];
    if (plan->classes.shape.ffn[layer] == 0)
        return OK; /* the layer has no MLP */
    snprintf(name, sizeof name, "layers.%" PRIu32 ".ffn", layer);
    return plan_class(plan, classes_get(&plan->classes, name), name, count, list, trace);
}

enum status pass_prune_ffn(struct graph **out, const struct graph *graph, const struct pass_call *call,
                           struct pass_context *context, struct trace *trace)
{
    return plan_layers(out, graph, call, "size", plan_ffn, context, trace);
}
