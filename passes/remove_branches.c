/* Removing branches alone: attention=..., mlp=... name layers. */
#include "passes/remove_branches.h"
#include "ir/build.h"
#include "ir/text.h"
#include "passes/pass.h"
#include <assert.h>
#include <inttypes.h>

static enum status copy_without(struct graph *to, const struct graph *graph, const uint32_t *stands_for,
                                struct trace *trace)
{
    struct graph_copy copy = graph_copy_begin(to, graph);
    for (uint32_t i = 0; i < graph->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if (stands_for[n] != ID_NONE)
            copy.values[node->results[0]] = copy.values[stands_for[n]];
        else
            TRY(graph_copy_node(&copy, node, trace));
    }
    graph_copy_outputs(&copy);
    graph_copy_description(to, graph);
    return OK;
}

enum status remove_branches(struct graph **out, const struct graph *graph, const struct structure *structure,
                            const uint32_t *branches, uint32_t count, struct trace *trace)
{
    if (count >= structure->branch_count)
        return status_fail(trace, INVALID,
                           "removing %" PRIu32 " of %" PRIu32 " branches would leave nothing of the model",
                           count, structure->branch_count);
    struct arena scratch = {0};
    uint32_t *stands_for = ARENA_ARRAY(&scratch, uint32_t, graph->nodes.count);
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        stands_for[n] = ID_NONE;
    for (uint32_t i = 0; i < count; i++) {
        assert(branches[i] < structure->branch_count);
        const struct branch *branch = &structure->branches[branches[i]];
        stands_for[branch->add] = branch->before;
    }
    struct graph *to = graph_create();
    enum status status = copy_without(to, graph, stands_for, trace);
    if (status == OK)
        *out = graph_canonicalise(to); /* drops what only the branches needed */
    graph_destroy(to);
    arena_release(&scratch);
    return status;
}

struct selection {
    const struct structure *structure;
    uint32_t *branches;
    uint32_t count;
};

static enum status select_kind(struct selection *s, const struct pass_call *call, enum branch_kind kind,
                               struct pass_context *context, struct trace *trace)
{
    static const char *const names[] = {[BRANCH_ATTENTION] = "attention", [BRANCH_MLP] = "mlp"};
    const uint32_t *layers;
    uint32_t count;
    TRY(pass_option_positions(&layers, &count, call, names[kind], context, trace));
    for (uint32_t i = 0; i < count; i++) {
        if (layers[i] >= s->structure->layer_count)
            return status_fail(trace, INVALID,
                               "layer %" PRIu32 " does not exist: the model has %" PRIu32 " layers",
                               layers[i], s->structure->layer_count);
        const struct layer *layer = &s->structure->layers[layers[i]];
        uint32_t branch = kind == BRANCH_ATTENTION ? layer->attention : layer->mlp;
        if (branch == ID_NONE)
            return status_fail(trace, INVALID, "layer %" PRIu32 " has no %s branch", layers[i], names[kind]);
        s->branches[s->count++] = branch;
    }
    return OK;
}

enum status pass_remove_branches(struct graph **out, const struct graph *graph, const struct pass_call *call,
                                 struct pass_context *context, struct trace *trace)
{
    struct arena scratch = {0};
    struct structure structure;
    struct selection s = {.structure = &structure};
    enum status status = structure_find(&structure, &scratch, graph, trace);
    s.branches = ARENA_ARRAY(&scratch, uint32_t, structure.branch_count + 1);
    if (status == OK)
        status = select_kind(&s, call, BRANCH_ATTENTION, context, trace);
    if (status == OK)
        status = select_kind(&s, call, BRANCH_MLP, context, trace);
    if (status == OK && s.count == 0)
        status = status_fail(trace, INVALID, "remove_branches needs attention or mlp");
    if (status == OK)
        status = remove_branches(out, graph, &structure, s.branches, s.count, trace);
    arena_release(&scratch);
    return status;
}
