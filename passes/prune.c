/* Pruning to a shape: which layers stay, then the width of those in one reindex, then the others go. Widths
 * come first, while layers still have the numbers that scores know them by. */
#include "passes/prune.h"
#include "ir/build.h"
#include "passes/plan.h"
#include "passes/remove_branches.h"
#include <inttypes.h>
#include <stdio.h>

int64_t prune_step(int64_t from, int64_t to, uint32_t rounds, int64_t unit)
{
    if (rounds <= 1 || to > from)
        return to;
    int64_t size = from - (from - to) / rounds, over = unit > 1 ? size % unit : 0;
    size += over > 0 ? unit - over : 0;
    return size < from ? size : from;
}

struct depth {
    uint32_t *kept, kept_count;
    uint32_t *removed, removed_count;
};

/* All layers but the run of `drop` layers that is missed least. */
static enum status choose_run(struct depth *depth, struct plan *plan, uint32_t drop, struct trace *trace)
{
    uint32_t layers = plan->classes.shape.layers, best = 0;
    char name[32];
    const struct score *score;
    snprintf(name, sizeof name, drop == 1 ? "layers" : "blocks.%" PRIu32, drop);
    TRY(scores_need(&score, plan->context->scores, name, layers - drop + 1, trace));
    for (uint32_t i = 1; i < score->count; i++)
        if (score->values[i] < score->values[best])
            best = i;
    for (uint32_t i = 0, n = 0; i < layers; i++)
        if (i < best || i >= best + drop)
            depth->kept[n++] = i;
    return OK;
}

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
    count = prune_step(layers, count, request->rounds, 1);
    depth->kept_count = (uint32_t)count;
    if (count < layers && request->drop_run)
        return choose_run(depth, plan, layers - depth->kept_count, trace);
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

int64_t align_usual(int64_t there)
{
    return there >= ALIGN_LEAST ? ALIGN_UNIT : 1;
}

static int64_t unit_of(int64_t align, int64_t there)
{
    return align == ALIGN_USUAL ? align_usual(there) : align;
}

/* Once for all layers that are alike. */
static void note_unaligned(struct plan *plan, const char *name, int64_t size, int64_t unit)
{
    struct pass_context *context = plan->context;
    const char *text = arena_printf(&context->arena,
                                    "%s: %" PRId64 " is no multiple of %" PRId64
                                    ", which is slower on most devices; %" PRId64 " and %" PRId64 " are",
                                    name, size, unit, size / unit * unit, (size / unit + 1) * unit);
    for (uint32_t i = 0; i < context->notes.count; i++)
        if (str_is(context->notes.items[i], text))
            return;
    *VEC_PUSH(&context->arena, &context->notes) = str_from(text);
}

static enum status check_aligned(struct plan *plan, const char *name, int64_t size, int64_t there,
                                 int64_t align, struct trace *trace)
{
    int64_t unit = unit_of(align, there);
    if (unit <= 1 || size == 0 || size == there || size % unit == 0)
        return OK;
    if (align == ALIGN_USUAL) {
        note_unaligned(plan, name, size, unit);
        return OK;
    }
    return status_fail(trace, INVALID,
                       "%s: %" PRId64 " is no multiple of %" PRId64 ", which was asked for; %" PRId64
                       " and %" PRId64 " are",
                       name, size, unit, size / unit * unit, (size / unit + 1) * unit);
}

static int64_t common_multiple(int64_t a, int64_t b)
{
    int64_t multiple = a;
    while (multiple % b != 0)
        multiple += a;
    return multiple;
}

static int64_t at_least_one(int64_t unit)
{
    return unit > 1 ? unit : 1;
}

/* The i-th kept layer. Sizes are those of the request, or on the way to them. */
static enum status plan_layer(struct plan *plan, const struct prune_request *request, uint32_t layer,
                              uint32_t i, struct trace *trace)
{
    const struct shape *shape = &plan->classes.shape;
    const struct prune_align *align = &request->align;
    int64_t ffn = size_at(&request->ffn, i), heads = size_at(&request->heads, i),
            groups = size_at(&request->kv_heads, i);
    TRY(check_aligned(plan, "kv_heads", groups, shape->kv_heads[layer], align->kv_heads, trace));
    TRY(check_aligned(plan, "heads", heads, shape->heads[layer], align->heads, trace));
    TRY(check_aligned(plan, "ffn", ffn, shape->ffn[layer], align->ffn, trace));
    if (groups != 0 && shape->kv_heads[layer] > 0) {
        groups = prune_step(shape->kv_heads[layer], groups, request->rounds, align->kv_heads);
        TRY(plan_kv_heads(plan, layer, groups, NULL, trace));
    }
    if (heads != 0 && shape->heads[layer] > 0) {
        int64_t left = groups != 0 ? groups : shape->kv_heads[layer];
        heads = prune_step(shape->heads[layer], heads, request->rounds,
                           left > 0 ? common_multiple(at_least_one(align->heads), left) : 1);
        TRY(plan_heads(plan, layer, heads, groups, NULL, trace));
    }
    if (ffn != 0 && shape->ffn[layer] > 0)
        TRY(plan_ffn(
            plan, layer,
            prune_step(shape->ffn[layer], ffn, request->rounds, unit_of(align->ffn, shape->ffn[layer])), NULL,
            trace));
    return OK;
}

/* On the way to a shape it is not known yet which layers its lists are for. */
static enum status check_rounds(const struct prune_request *request, struct trace *trace)
{
    bool lists = request->ffn.count > 1 || request->heads.count > 1 || request->kv_heads.count > 1 ||
                 request->keep_layer_count > 0 || request->keep_token_count > 0;
    if (request->rounds > 1 && lists)
        return status_fail(
            trace, INVALID,
            "a shape that is reached in several rounds has one size for all layers, and no lists of "
            "layers or tokens");
    return OK;
}

static enum status plan_widths(struct plan *plan, const struct prune_request *request,
                               const struct depth *depth, struct trace *trace)
{
    TRY(check_sizes(&request->ffn, "ffn", depth, trace));
    TRY(check_sizes(&request->heads, "heads", depth, trace));
    TRY(check_sizes(&request->kv_heads, "kv_heads", depth, trace));
    TRY(check_rounds(request, trace));
    for (uint32_t i = 0; i < depth->kept_count; i++)
        TRY(plan_layer(plan, request, depth->kept[i], i, trace));
    int64_t hidden = plan->classes.shape.hidden, unit = unit_of(request->align.hidden, hidden);
    TRY(check_aligned(plan, "hidden", request->hidden, hidden, request->align.hidden, trace));
    TRY(check_aligned(plan, "vocab", request->keep_token_count, plan->classes.shape.vocab,
                      request->align.vocab, trace));
    if (request->hidden != 0)
        TRY(plan_hidden(plan, prune_step(hidden, request->hidden, request->rounds, unit), NULL, trace));
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
    struct graph *narrow = NULL, *amended = NULL;
    enum status status = plan_begin(&plan, graph, context, trace);
    plan.rank_globally = request->ranking == HEADS_GLOBAL;
    if (status == OK)
        status = choose_layers(&depth, &plan, request, trace);
    if (status == OK)
        status = plan_widths(&plan, request, &depth, trace);
    if (status == OK &&
        (request->amend.rule != RESIDUAL_NONE || request->amend.compensate || request->amend.rescale))
        status = amend(&amended, &plan, &request->amend, trace);
    if (status == OK)
        status = plan_apply(&narrow, &plan, trace);
    graph_destroy(amended);
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
