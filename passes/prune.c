/* Pruning to a shape: which layers stay, then the width of those in one reindex, then the others go. Widths
 * come first, while layers still have the numbers that scores know them by. */
#include "passes/prune.h"
#include "ir/build.h"
#include "passes/plan.h"
#include "passes/remove_branches.h"
#include <inttypes.h>

struct depth {
    uint32_t *kept, kept_count;
    uint32_t *removed, removed_count;
};

static enum status choose_kept(struct depth *depth, struct plan *plan, const struct prune_request *request,
                               struct trace *trace)
{
    uint32_t layers = plan->classes.shape.layers;
    const struct score *score;
    if (request->keep_layer_count > 0) {
        if (request->layers != 0 && request->layers != request->keep_layer_count)
            return status_fail(trace, INVALID,
                               "layers: %" PRId64 " were asked for, but %" PRIu32 " are listed to be kept",
                               request->layers, request->keep_layer_count);
        for (uint32_t i = 0; i < request->keep_layer_count; i++)
            if (request->keep_layers[i] >= layers ||
                (i > 0 && request->keep_layers[i] <= request->keep_layers[i - 1]))
                return status_fail(trace, INVALID,
                                   "keep_layers: %" PRIu32 " is not one of the model's %" PRIu32
                                   " layers, or not above the one before it",
                                   request->keep_layers[i], layers);
        for (uint32_t i = 0; i < request->keep_layer_count; i++)
            depth->kept[depth->kept_count++] = request->keep_layers[i];
        return OK;
    }
    int64_t count = request->layers == 0 ? layers : request->layers;
    if (request->layers != 0)
        TRY(plan_check(NULL, "layers", count, layers, trace));
    depth->kept_count = (uint32_t)count;
    if (count < layers) {
        TRY(scores_need(&score, plan->context->scores, "layers", layers, trace));
        scores_rank(score->values, layers, depth->kept_count, depth->kept);
        return OK;
    }
    for (uint32_t i = 0; i < layers; i++)
        depth->kept[i] = i;
    return OK;
}

static enum status choose_layers(struct depth *depth, struct plan *plan, const struct prune_request *request,
                                 struct trace *trace)
{
    uint32_t layers = plan->classes.shape.layers, next = 0;
    depth->kept = ARENA_ARRAY(&plan->arena, uint32_t, layers + 1);
    depth->removed = ARENA_ARRAY(&plan->arena, uint32_t, layers + 1);
    TRY(choose_kept(depth, plan, request, trace));
    for (uint32_t i = 0; i < layers; i++) {
        if (next < depth->kept_count && depth->kept[next] == i)
            next++;
        else
            depth->removed[depth->removed_count++] = i;
    }
    return OK;
}

/* The size for the i-th kept layer; 0: unchanged. */
static int64_t size_at(const struct prune_sizes *sizes, uint32_t i)
{
    return sizes->count == 0 ? 0 : sizes->count == 1 ? sizes->sizes[0] : sizes->sizes[i];
}

static enum status check_sizes(const struct prune_sizes *sizes, const char *name, const struct depth *depth,
                               struct trace *trace)
{
    if (sizes->count > 1 && sizes->count != depth->kept_count)
        return status_fail(trace, INVALID,
                           "%s: %" PRIu32 " sizes were given, for %" PRIu32 " layers that are kept", name,
                           sizes->count, depth->kept_count);
    for (uint32_t i = 0; i < sizes->count; i++)
        if (sizes->sizes[i] < 0)
            return status_fail(trace, INVALID, "%s: %" PRId64 " is no size", name, sizes->sizes[i]);
    return OK;
}

static enum status plan_widths(struct plan *plan, const struct prune_request *request,
                               const struct depth *depth, struct trace *trace)
{
    TRY(check_sizes(&request->ffn, "ffn", depth, trace));
    TRY(check_sizes(&request->heads, "heads", depth, trace));
    TRY(check_sizes(&request->kv_heads, "kv_heads", depth, trace));
    for (uint32_t i = 0; i < depth->kept_count; i++) {
        uint32_t layer = depth->kept[i];
        int64_t ffn = size_at(&request->ffn, i), heads = size_at(&request->heads, i),
                groups = size_at(&request->kv_heads, i);
        if (groups != 0)
            TRY(plan_kv_heads(plan, layer, groups, NULL, trace));
        if (heads != 0)
            TRY(plan_heads(plan, layer, heads, groups, NULL, trace));
        if (ffn != 0)
            TRY(plan_ffn(plan, layer, ffn, NULL, trace));
    }
    if (request->hidden != 0)
        TRY(plan_hidden(plan, request->hidden, NULL, trace));
    if (request->keep_token_count > 0)
        TRY(plan_vocab(plan, request->keep_token_count, request->keep_tokens, trace));
    return OK;
}

static enum status remove_depth(struct graph **graph, const struct depth *depth, struct trace *trace)
{
    if (depth->removed_count == 0)
        return OK;
    struct arena scratch = {0};
    struct structure structure;
    struct graph *shallow = NULL;
    enum status status = structure_find(&structure, &scratch, *graph, trace);
    if (status == OK)
        status = remove_layers(&shallow, *graph, &structure, depth->removed, depth->removed_count, trace);
    arena_release(&scratch);
    graph_destroy(*graph);
    *graph = shallow;
    return status;
}

static enum status build(struct graph **out, const struct graph *graph, const struct prune_request *request,
                         struct pass_context *context, struct trace *trace)
{
    struct plan plan;
    struct depth depth = {0};
    struct graph *narrow = NULL;
    enum status status = plan_begin(&plan, graph, context, trace);
    if (status == OK)
        status = choose_layers(&depth, &plan, request, trace);
    if (status == OK)
        status = plan_widths(&plan, request, &depth, trace);
    if (status == OK)
        status = plan_apply(&narrow, &plan, trace);
    if (status == OK)
        status = remove_depth(&narrow, &depth, trace);
    plan_release(&plan);
    if (status == OK)
        *out = narrow;
    return status;
}

enum status prune_to_shape(struct graph **out, const struct graph *graph, const struct prune_request *request,
                           struct pass_context *context, struct trace *trace)
{
    struct graph *result = NULL;
    pass_begin(graph, context);
    TRY_WITH(trace, build(&result, graph, request, context, trace), "while pruning to a shape");
    TRY(pass_finish(&result, context, trace));
    *out = result;
    return OK;
}

static struct prune_sizes read_sizes(const struct pass_call *call, const char *key)
{
    const struct pass_option *option = pass_option_get(call, key);
    return option ? (struct prune_sizes){option->values, option->count} : (struct prune_sizes){0};
}

enum status pass_prune(struct graph **out, const struct graph *graph, const struct pass_call *call,
                       struct pass_context *context, struct trace *trace)
{
    struct prune_request request = {.ffn = read_sizes(call, "ffn"),
                                    .heads = read_sizes(call, "heads"),
                                    .kv_heads = read_sizes(call, "kv_heads")};
    TRY(pass_option_size(&request.hidden, call, "hidden", trace));
    TRY(pass_option_size(&request.layers, call, "layers", trace));
    TRY(pass_option_positions(&request.keep_layers, &request.keep_layer_count, call, "keep_layers", context,
                              trace));
    TRY(pass_option_positions(&request.keep_tokens, &request.keep_token_count, call, "vocab", context,
                              trace));
    return build(out, graph, &request, context, trace);
}
