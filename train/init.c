/* Roles come from the nodes that use a tensor, streams from the order of first use: names decide nothing. */
#include "train/init.h"
#include "shaders/scalar/scalar.h"
#include <assert.h>

enum { STREAM_INIT = 0x696e6974 }; /* "init": keeps these counters apart from those of shuffles */

struct use {
    uint32_t first;        /* order of first use, ID_NONE when unused */
    bool is_matrix_of_sum; /* second factor of a product that is added to something */
    bool is_norm, is_constant;
};

/* True when the only thing that happens to `value` is an addition to a value of the same rank. */
static bool is_added(const struct graph *graph, uint32_t value)
{
    uint32_t readers = 0, sums = 0;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] != value)
                continue;
            readers++;
            sums += node->op == OP_add && graph_value(graph, node->inputs[1])->rank > 1;
        }
    }
    return readers == 1 && sums == 1;
}

static void note_use(struct use *use, const struct graph *graph, const struct node *node, uint32_t slot,
                     uint32_t order)
{
    if (use->first == ID_NONE)
        use->first = order;
    bool is_norm = node->op == OP_rmsnorm || node->op == OP_head_rmsnorm || node->op == OP_layernorm;
    use->is_norm |= is_norm && slot == 1;
    use->is_constant |= op_constant_input(node->op) == slot;
    if (node->op == OP_matmul_nt && slot == 1)
        use->is_matrix_of_sum |= is_added(graph, node->results[0]);
}

static struct use *find_uses(struct arena *arena, const struct graph *graph)
{
    struct use *uses = ARENA_ARRAY(arena, struct use, graph->tensors.count);
    for (uint32_t t = 0; t < graph->tensors.count; t++)
        uses[t].first = ID_NONE;
    uint32_t order = 0;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            const struct value *value = graph_value(graph, node->inputs[i]);
            if (value->origin != VALUE_TENSOR)
                continue;
            struct use *use = &uses[value->source];
            bool is_new = use->first == ID_NONE;
            note_use(use, graph, node, i, order);
            order += is_new;
        }
    }
    return uses;
}

bool tensor_is_constant(const struct graph *graph, uint32_t tensor)
{
    uint32_t value = graph->tensors.items[tensor].value;
    if (graph_value(graph, value)->dtype != DTYPE_F32)
        return true;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if (node_reads_constant(node, value))
            return true;
    }
    return false;
}

static enum init_role find_role(const struct graph *graph, const struct use *use, uint32_t tensor)
{
    const struct value *value = graph_value(graph, graph->tensors.items[tensor].value);
    if (use->is_constant || value->dtype != DTYPE_F32)
        return INIT_KEPT;
    if (value->rank == 1)
        return use->is_norm ? INIT_ONES : INIT_ZEROS;
    return use->is_matrix_of_sum ? INIT_RESIDUAL : INIT_MATRIX;
}

enum status init_plan_make(struct init_plan *out, struct arena *arena, const struct graph *graph,
                           const struct init_options *options, struct trace *trace)
{
    float deviation = options->deviation != 0 ? options->deviation : 0.02f;
    if (!(deviation > 0) || !gm_is_finite(deviation))
        return status_fail(trace, INVALID, "expected a positive standard deviation, found %g",
                           (double)deviation);
    *out = (struct init_plan){
        .options = *options,
        .tensors = ARENA_ARRAY(arena, struct init_tensor, graph->tensors.count),
        .count = graph->tensors.count,
    };
    const struct use *uses = find_uses(arena, graph);
    uint32_t residuals = 0;
    for (uint32_t t = 0; t < out->count; t++) {
        out->tensors[t] = (struct init_tensor){find_role(graph, &uses[t], t), uses[t].first, deviation};
        residuals += out->tensors[t].role == INIT_RESIDUAL;
    }
    for (uint32_t t = 0; t < out->count; t++)
        if (out->tensors[t].role == INIT_RESIDUAL && options->residual == INIT_RESIDUAL_SCALED)
            out->tensors[t].deviation = deviation * gm_rsqrt(gm_from_uint(residuals));
    return OK;
}

/* Elements 4 n .. 4 n + 3 come from counter (n low, n high, stream, "init"). */
static void read_normal(const struct init_plan *plan, const struct init_tensor *tensor, int64_t first,
                        int64_t count, float *out)
{
    for (int64_t group = first / 4; group * 4 < first + count; group++) {
        struct gm_words counter = {(uint)group, (uint)((uint64_t)group >> 32), tensor->stream, STREAM_INIT};
        struct gm_words words =
            gm_philox(counter, (uint)plan->options.seed, (uint)(plan->options.seed >> 32));
        struct gm_pair a = gm_normal_pair(words.x, words.y), b = gm_normal_pair(words.z, words.w);
        const float normals[4] = {a.hi, a.lo, b.hi, b.lo};
        for (int64_t i = 0; i < 4; i++) {
            int64_t at = group * 4 + i - first;
            if (at >= 0 && at < count)
                out[at] = gm_flush(normals[i] * tensor->deviation);
        }
    }
}

void init_read(const struct init_plan *plan, uint32_t tensor, int64_t first, int64_t count, float *out)
{
    assert(tensor < plan->count && plan->tensors[tensor].role != INIT_KEPT);
    const struct init_tensor *t = &plan->tensors[tensor];
    if (t->role == INIT_MATRIX || t->role == INIT_RESIDUAL) {
        read_normal(plan, t, first, count, out);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = t->role == INIT_ONES ? 1 : 0;
}

void init_fill(const struct init_plan *plan, struct graph *graph)
{
    assert(plan->count == graph->tensors.count);
    for (uint32_t t = 0; t < plan->count; t++) {
        if (plan->tensors[t].role == INIT_KEPT)
            continue;
        struct tensor *tensor = &graph->tensors.items[t];
        struct tensor_view view = {.dtype = DTYPE_F32, .rank = tensor->view.rank};
        int64_t count = 1;
        for (uint32_t axis = view.rank; axis-- > 0;) {
            view.dims[axis] = tensor->view.dims[axis];
            view.strides[axis] = count;
            count *= view.dims[axis];
        }
        float *data = ARENA_ARRAY(&graph->arena, float, (size_t)count);
        init_read(plan, t, 0, count, data);
        view.base = (const uint8_t *)data;
        view.base_size = (size_t)count * sizeof *data;
        tensor->view = view;
        tensor->has_id = false;
    }
}
