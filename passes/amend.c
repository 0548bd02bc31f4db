/* Amending weights: new bytes for those that change, a copy of the graph that has them, with biases added
 * where a projection has none. */
#include "passes/amend.h"
#include "ir/build.h"
#include "passes/elements.h"
#include "shaders/scalar/scalar.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct amender {
    struct plan *plan;
    const struct graph *graph;
    const struct amend_request *request;
    float **bytes;  /* [tensors]: what a tensor becomes, or NULL */
    float **biases; /* [nodes]: what is added to the node's result, or NULL */
};

uint32_t amend_partner(uint32_t heads, uint32_t kept, uint32_t i)
{
    uint32_t j = 2 * kept - i + 1;
    return j <= heads ? j : 0;
}

/* A tensor's elements, to be changed. */
static float *tensor_bytes(struct amender *a, uint32_t tensor)
{
    const struct tensor_view *view = &a->graph->tensors.items[tensor].view;
    if (!a->bytes[tensor]) {
        int64_t count = tensor_view_count(view);
        a->bytes[tensor] = ARENA_ARRAY(&a->plan->context->arena, float, (size_t)count);
        tensor_view_read_f32(view, 0, count, a->bytes[tensor]);
    }
    return a->bytes[tensor];
}

static const struct keep *find_keep(const struct plan *plan, const struct prunable *item)
{
    for (uint32_t i = 0; item && i < plan->keeps.count; i++)
        if (plan->keeps.items[i].leaf == item->leaf)
            return &plan->keeps.items[i];
    return NULL;
}

/* ---- heads ---- */

/* The heads of a layer, and which of them go. */
struct layer_heads {
    const struct prunable *item; /* whose carriers are amended */
    struct elements elements;
    const struct score *score;
    uint32_t all, groups;
    bool *kept;
};

static void mark_kept(struct layer_heads *h, const struct keep *heads, const struct keep *groups)
{
    uint32_t each = h->all / h->groups;
    for (uint32_t i = 0; i < h->all; i++)
        h->kept[i] = !heads;
    for (uint32_t g = 0; heads && g < h->groups; g++)
        for (uint32_t i = 0; i < heads->count; i++)
            h->kept[g * each + heads->lists[heads->parent == DIM_NONE ? i : g * heads->count + i]] = true;
    for (uint32_t g = 0; groups && g < h->groups; g++) {
        bool stays = false;
        for (uint32_t i = 0; i < groups->count; i++)
            stays = stays || groups->lists[i] == g;
        for (uint32_t i = 0; i < each && !stays; i++)
            h->kept[g * each + i] = false;
    }
}

/* The weight is read along this axis: what a head makes, not what makes the head. */
static bool is_contracted(const struct graph *graph, const struct carrier *carrier)
{
    uint32_t value = graph->tensors.items[carrier->tensor].value;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if ((node->op == OP_matmul_nt && node->inputs[1] == value && carrier->axis == 1) ||
            (node->op == OP_matmul_nn && node->inputs[1] == value && carrier->axis == 0))
            return true;
    }
    return false;
}

/* Adds `to`'s rows (of the axis, within head `into`) the difference to those of head `from`. */
static void fold_carrier(struct amender *a, const struct layer_heads *h, const struct carrier *carrier,
                         uint32_t into, uint32_t from)
{
    const struct tensor *t = &a->graph->tensors.items[carrier->tensor];
    uint32_t axis = graph_value(a->graph, t->value)->axes[carrier->axis];
    int64_t length = t->view.dims[carrier->axis], inner = 1, outer = 1, other = 0;
    for (uint32_t i = 0; i < t->view.rank; i++)
        *(i < carrier->axis ? &outer : &inner) *= i == carrier->axis ? 1 : t->view.dims[i];
    float *x = tensor_bytes(a, carrier->tensor);
    for (int64_t p = 0; p < length; p++) {
        if (elements_at(&a->graph->dims, axis, p, &h->elements) != into)
            continue;
        while (elements_at(&a->graph->dims, axis, other, &h->elements) != from)
            other++;
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < inner; i++) {
                float *to = &x[(o * length + p) * inner + i], with = x[(o * length + other) * inner + i];
                float difference = a->request->rule == RESIDUAL_PAPER ? *to - with : with - *to;
                *to = gm_flush(*to + gm_flush(difference));
            }
        other++;
    }
}

static int compare_ranked(const struct score *score, uint32_t x, uint32_t y)
{
    if (score->values[x] != score->values[y])
        return score->values[x] > score->values[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Those of heads first .. first + count - 1 that are kept, or those that go, best first. Returns how many. */
static uint32_t rank_some(const struct layer_heads *h, uint32_t first, uint32_t count, bool kept,
                          uint32_t *out)
{
    uint32_t found = 0;
    for (uint32_t i = first; i < first + count; i++) {
        if (h->kept[i] != kept)
            continue;
        uint32_t at = found++;
        for (; at > 0 && compare_ranked(h->score, out[at - 1], i) > 0; at--)
            out[at] = out[at - 1];
        out[at] = i;
    }
    return found;
}

static enum status fold_heads(struct amender *a, const struct layer_heads *h, uint32_t first, uint32_t count,
                              struct trace *trace)
{
    struct arena *arena = &a->plan->arena;
    uint32_t *kept = ARENA_ARRAY(arena, uint32_t, count), *gone = ARENA_ARRAY(arena, uint32_t, count);
    uint32_t stay = rank_some(h, first, count, true, kept);
    rank_some(h, first, count, false, gone);
    if (stay == 0)
        return OK; /* the whole group goes */
    if (count > 2 * stay)
        return status_fail(trace, INVALID,
                           "%s: %" PRIu32 " of %" PRIu32
                           " heads stay; the head-residual rule needs at least half",
                           h->item->name, stay, count);
    for (uint32_t i = 1; i <= stay; i++) {
        uint32_t partner = amend_partner(count, stay, i);
        for (uint32_t c = 0; partner && c < h->item->carrier_count; c++)
            if (!is_contracted(a->graph, &h->item->carriers[c]))
                fold_carrier(a, h, &h->item->carriers[c], kept[i - 1], gone[partner - stay - 1]);
        a->plan->context->receipt.folded_heads += partner != 0;
    }
    return OK;
}

static enum status fold_layer(struct amender *a, uint32_t layer, struct trace *trace)
{
    char name[64];
    const struct classes *classes = &a->plan->classes;
    const struct prunable *heads = classes_get_layer(classes, layer, "heads"),
                          *groups = classes_get_layer(classes, layer, "kv_heads");
    struct layer_heads h = {.all = (uint32_t)classes->shape.heads[layer],
                            .groups = (uint32_t)classes->shape.kv_heads[layer]};
    if (h.all == 0)
        return OK;
    bool own = h.all == h.groups; /* each query head has keys and values of its own */
    const struct keep *keep = find_keep(a->plan, heads), *group_keep = find_keep(a->plan, groups);
    if (!(own ? group_keep : keep))
        return OK;
    h.item = own ? groups : heads;
    h.elements = (struct elements){own || !groups ? DIM_NONE : groups->leaf, h.item->leaf, h.item->size};
    snprintf(name, sizeof name, "layers.%" PRIu32 ".heads", layer);
    TRY(scores_need(&h.score, a->plan->context->scores, name, h.all, trace));
    h.kept = ARENA_ARRAY(&a->plan->arena, bool, h.all);
    mark_kept(&h, keep, group_keep);
    if (own || a->request->pairs == PAIRS_GLOBAL)
        return fold_heads(a, &h, 0, h.all, trace);
    uint32_t each = h.all / h.groups;
    for (uint32_t g = 0; g < h.groups; g++)
        TRY(fold_heads(a, &h, g * each, each, trace));
    return OK;
}

/* ---- biases ---- */

/* W * (means of channels that go). W is [out, in], or [in, out] for matmul_nn. */
static float *bias_of(struct amender *a, const struct node *node, const float *means, const bool *stays,
                      int64_t channels)
{
    const struct tensor_view *view =
        &a->graph->tensors.items[graph_value(a->graph, node->inputs[1])->source].view;
    bool out_first = node->op == OP_matmul_nt;
    int64_t width = view->dims[out_first ? 0 : 1], count = channels * width;
    float *bias = ARENA_ARRAY(&a->plan->context->arena, float, (size_t)width);
    float *weight = malloc((size_t)count * sizeof *weight);
    if (!weight)
        BUG("out of memory");
    tensor_view_read_f32(view, 0, count, weight);
    for (int64_t o = 0; o < width; o++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++)
            if (!stays[c])
                sum += (double)weight[out_first ? o * channels + c : c * width + o] * (double)means[c];
        bias[o] = gm_flush((float)sum);
    }
    free(weight);
    return bias;
}

/* The bias that is added to the value already, a tensor's index; or ID_NONE. */
static uint32_t present_bias(const struct graph *graph, uint32_t value)
{
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if (node->op != OP_add || node->inputs[0] != value)
            continue;
        const struct value *other = graph_value(graph, node->inputs[1]);
        if (other->origin == VALUE_TENSOR && other->rank == 1)
            return other->source;
    }
    return ID_NONE;
}

static enum status compensate(struct amender *a, uint32_t n, const char *score_name, struct trace *trace)
{
    const struct node *node = &a->graph->nodes.items[n];
    const struct value *x = graph_value(a->graph, node->inputs[0]);
    uint32_t axis = x->axes[x->rank - 1], kept;
    int64_t channels = dims_size(&a->graph->dims, axis);
    const uint32_t *positions;
    reindex_positions(&positions, &kept, &a->plan->arena, a->graph, a->plan->keeps.items,
                      a->plan->keeps.count, axis);
    if (kept == channels)
        return OK;
    const struct score *means;
    TRY_WITH(trace, scores_need(&means, a->plan->context->scores, score_name, (uint32_t)channels, trace),
             "compensation needs the means that metric flap of a score stage records");
    bool *stays = ARENA_ARRAY(&a->plan->arena, bool, (size_t)channels);
    for (uint32_t i = 0; i < kept; i++)
        stays[positions[i]] = true;
    float *bias = bias_of(a, node, means->values, stays, channels);
    uint32_t there = present_bias(a->graph, node->results[0]);
    a->plan->context->receipt.compensated++;
    if (there == ID_NONE) {
        a->biases[n] = bias;
        return OK;
    }
    float *old = tensor_bytes(a, there);
    for (int64_t i = 0; i < tensor_view_count(&a->graph->tensors.items[there].view); i++)
        old[i] = gm_flush(old[i] + bias[i]);
    return OK;
}

/* The projections of a layer that lead back to the stream. */
static enum status compensate_branch(struct amender *a, const struct branch *branch, struct trace *trace)
{
    const struct graph *graph = a->graph;
    const struct structure *structure = &a->plan->classes.structure;
    const struct prunable *ffn = classes_get_layer(&a->plan->classes, branch->layer, "ffn");
    uint32_t heads =
        branch->attention == ID_NONE ? ID_NONE : graph->nodes.items[branch->attention].results[0];
    for (uint32_t i = 0; i < branch->node_count; i++) {
        const struct node *node = &graph->nodes.items[branch->nodes[i]];
        if ((node->op != OP_matmul_nt && node->op != OP_matmul_nn) ||
            graph_value(graph, node->inputs[1])->origin != VALUE_TENSOR)
            continue;
        const struct value *x = graph_value(graph, node->inputs[0]),
                           *y = graph_value(graph, node->results[0]);
        bool of_neurons = ffn && dims_find(&graph->dims, x->axes[x->rank - 1]) == ffn->leaf &&
                          dims_find(&graph->dims, y->axes[y->rank - 1]) == structure->hidden;
        if (!of_neurons && node->inputs[0] != heads)
            continue;
        char name[64];
        snprintf(name, sizeof name, "layers.%" PRIu32 ".%s@means", branch->layer,
                 of_neurons ? "ffn" : "heads");
        TRY(compensate(a, branch->nodes[i], name, trace));
    }
    return OK;
}

/* ---- norms ---- */

static enum status rescale_norm(struct amender *a, const struct node *node, uint32_t number,
                                struct trace *trace)
{
    const struct value *x = graph_value(a->graph, node->inputs[0]),
                       *w = graph_value(a->graph, node->inputs[1]);
    uint32_t axis = x->axes[x->rank - 1], kept;
    int64_t channels = dims_size(&a->graph->dims, axis);
    const uint32_t *positions;
    char name[64];
    const struct score *energy;
    reindex_positions(&positions, &kept, &a->plan->arena, a->graph, a->plan->keeps.items,
                      a->plan->keeps.count, axis);
    if (kept == channels)
        return OK;
    if (node->op != OP_rmsnorm || w->origin != VALUE_TENSOR || a->bytes[w->source])
        return status_fail(trace, UNSUPPORTED, "norm %" PRIu32 " of the stream cannot be rescaled: it %s",
                           number,
                           node->op == OP_rmsnorm ? "has no weight of its own" : "subtracts the mean");
    snprintf(name, sizeof name, "norms.%" PRIu32 "@energy", number);
    TRY_WITH(trace, scores_need(&energy, a->plan->context->scores, name, (uint32_t)channels, trace),
             "rescaling norms needs what \"energy: true\" of a score stage records");
    double all = 0, stays = 0;
    for (int64_t c = 0; c < channels; c++)
        all += (double)energy->values[c];
    for (uint32_t i = 0; i < kept; i++)
        stays += (double)energy->values[positions[i]];
    if (!(all > 0) || !(stays > 0))
        return OK; /* nothing ever came here */
    float factor = gm_sqrt((float)(stays / all * (double)channels / kept));
    float *weight = tensor_bytes(a, w->source);
    for (int64_t c = 0; c < channels; c++)
        weight[c] = gm_flush(weight[c] * factor);
    a->plan->context->receipt.rescaled_norms++;
    return OK;
}

static enum status rescale_norms(struct amender *a, struct trace *trace)
{
    uint32_t number = 0, hidden = a->plan->classes.structure.hidden;
    for (uint32_t n = 0; n < a->graph->nodes.count; n++) {
        const struct node *node = &a->graph->nodes.items[n];
        if (node->op != OP_rmsnorm && node->op != OP_layernorm)
            continue;
        const struct value *y = graph_value(a->graph, node->results[0]);
        if (dims_find(&a->graph->dims, y->axes[y->rank - 1]) == dims_find(&a->graph->dims, hidden))
            TRY(rescale_norm(a, node, number++, trace));
    }
    return OK;
}

/* ---- the copy ---- */

static struct tensor_view view_of(const float *bytes, uint32_t rank, const int64_t *dims)
{
    struct tensor_view view = {.base = (const uint8_t *)bytes, .dtype = DTYPE_F32, .rank = rank};
    int64_t count = 1;
    for (uint32_t i = rank; i-- > 0;) {
        view.dims[i] = dims[i];
        view.strides[i] = count;
        count *= dims[i];
    }
    view.base_size = (size_t)count * sizeof *bytes;
    return view;
}

static void copy_tensors(struct amender *a, struct graph_copy *copy)
{
    for (uint32_t i = 0; i < a->graph->tensors.count; i++) {
        graph_copy_tensor(copy, i);
        struct tensor *t = &VEC_LAST(&copy->to->tensors);
        if (!a->bytes[i])
            continue;
        t->view = view_of(a->bytes[i], t->view.rank, a->graph->tensors.items[i].view.dims);
        t->has_id = false;
    }
}

/* "x.weight" -> "x.bias" */
static struct str bias_name(struct arena *arena, struct str weight)
{
    static const char suffix[] = ".weight";
    size_t length = weight.length, end = strlen(suffix);
    if (length > end && memcmp(weight.data + length - end, suffix, end) == 0)
        length -= end;
    return str_from(arena_printf(arena, "%.*s.bias", (int)length, weight.data));
}

static void add_bias(struct graph_copy *copy, const struct node *node, const float *bias)
{
    const struct graph *from = copy->from;
    uint32_t result = copy->values[node->results[0]];
    const struct value *v = graph_value(copy->to, result);
    uint32_t axis = v->axes[v->rank - 1];
    int64_t size = dims_size(&copy->to->dims, axis);
    struct tensor_view view = view_of(bias, 1, &size);
    struct str name = from->tensors.items[graph_value(from, node->inputs[1])->source].name;
    uint32_t tensor = build_tensor(copy->to, bias_name(&copy->to->arena, name), &view, &axis);
    copy->values[node->results[0]] = build_binary(copy->to, OP_add, result, tensor);
}

static enum status copy_graph(struct graph **out, struct amender *a, struct trace *trace)
{
    const struct graph *graph = a->graph;
    struct graph *to = graph_create();
    struct graph_copy copy = graph_copy_begin(to, graph);
    for (uint32_t i = 0; i < graph->inputs.count; i++)
        graph_copy_input(&copy, i);
    copy_tensors(a, &copy);
    enum status status = OK;
    for (uint32_t n = 0; n < graph->nodes.count && status == OK; n++) {
        status = graph_copy_node(&copy, &graph->nodes.items[n], trace);
        if (status == OK && a->biases[n])
            add_bias(&copy, &graph->nodes.items[n], a->biases[n]);
    }
    if (status != OK) {
        graph_destroy(to);
        return status;
    }
    graph_copy_outputs(&copy);
    graph_copy_description(to, graph);
    for (uint32_t i = 0; i < a->plan->keeps.count; i++) {
        struct keep *keep = &a->plan->keeps.items[i];
        keep->leaf = graph_copy_term(&copy, keep->leaf);
        keep->parent = keep->parent == DIM_NONE ? DIM_NONE : graph_copy_term(&copy, keep->parent);
    }
    a->plan->graph = to;
    *out = to;
    return OK;
}

enum status amend(struct graph **out, struct plan *plan, const struct amend_request *request,
                  struct trace *trace)
{
    struct amender a = {.plan = plan, .graph = plan->graph, .request = request};
    const struct structure *structure = &plan->classes.structure;
    a.bytes = ARENA_ARRAY(&plan->arena, float *, plan->graph->tensors.count + 1);
    a.biases = ARENA_ARRAY(&plan->arena, float *, plan->graph->nodes.count + 1);
    for (uint32_t l = 0; l < plan->classes.shape.layers && request->rule != RESIDUAL_NONE; l++)
        TRY_WITH(trace, fold_layer(&a, l, trace), "while heads take over what differs in those that go");
    for (uint32_t i = 0; i < structure->branch_count && request->compensate; i++)
        TRY(compensate_branch(&a, &structure->branches[i], trace));
    if (request->rescale)
        TRY(rescale_norms(&a, trace));
    const struct receipt *receipt = &plan->context->receipt;
    if (receipt->folded_heads + receipt->compensated + receipt->rescaled_norms > 0)
        plan->context->contract = CONTRACT_APPROXIMATE;
    return copy_graph(out, &a, trace);
}
