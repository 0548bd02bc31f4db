/* States are found by dataflow (passes/structure.h); what is said of norms is what reads the stream. */
#include "train/states.h"
#include "ir/build.h"
#include "passes/structure.h"
#include "shaders/scalar/scalar.h"
#include "train/init.h"
#include "train/relation.h"
#include <assert.h>
#include <inttypes.h>

const struct state_info state_table[STATE_KIND_COUNT] = {
#define STATE(name, summary) [STATE_KIND_##name] = {#name, summary},
#include "train/states.def"
};

bool state_from_name(struct str name, enum state_kind *out)
{
    for (int kind = 0; kind < STATE_KIND_COUNT; kind++) {
        struct str known = str_from(state_table[kind].name);
        bool is_same = known.length == name.length;
        for (size_t i = 0; i < name.length && is_same; i++)
            is_same = known.data[i] == (name.data[i] == '-' ? '_' : name.data[i]);
        if (is_same) {
            *out = (enum state_kind)kind;
            return true;
        }
    }
    return false;
}

/* The first node that reads `value` as its first operand and is one of two ops; NULL when there is none. */
static const struct node *reader(const struct graph *graph, uint32_t value, enum op one, enum op other)
{
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if ((node->op == one || node->op == other) && node->inputs[0] == value)
            return node;
    }
    return NULL;
}

/* What the norm that reads a value of the stream makes of it, with its bias; the value itself without a norm.
 */
static uint32_t normalised(const struct graph *graph, uint32_t stream)
{
    const struct node *norm = reader(graph, stream, OP_rmsnorm, OP_layernorm);
    if (!norm)
        return stream;
    const struct node *bias = reader(graph, norm->results[0], OP_add, OP_add);
    bool has_bias = bias && graph_value(graph, bias->inputs[1])->rank == 1;
    return has_bias ? bias->results[0] : norm->results[0];
}

/* Index in the stream of what comes out of a layer: after the last of its branches. */
static uint32_t end_of(const struct structure *s, const struct layer *layer)
{
    uint32_t last = 0;
    const uint32_t branches[] = {layer->attention, layer->mlp};
    for (int i = 0; i < 2; i++)
        if (branches[i] != ID_NONE && branches[i] + 1 > last)
            last = branches[i] + 1;
    assert(last <= s->branch_count);
    return last;
}

static uint32_t find_in(const struct structure *s, const struct graph *model, enum state_kind kind,
                        const struct layer *layer)
{
    if (kind == STATE_KIND_embedding)
        return normalised(model, s->stream[0]);
    if (kind == STATE_KIND_block)
        return normalised(model, s->stream[end_of(s, layer)]);
    bool is_of_attention = kind == STATE_KIND_attention || state_is_relation(kind);
    uint32_t branch = is_of_attention ? layer->attention : layer->mlp;
    if (branch == ID_NONE)
        return ID_NONE;
    if (state_is_relation(kind)) /* queries, keys, values are inputs 0, 1, 2 */
        return model->nodes.items[s->branches[branch].attention].inputs[kind - STATE_KIND_queries];
    return kind == STATE_KIND_mlp_input ? normalised(model, s->stream[s->branches[branch].reads])
                                        : s->branches[branch].value;
}

enum status state_find(uint32_t *out, struct arena *arena, const struct graph *model, enum state_kind kind,
                       uint32_t layer, struct trace *trace)
{
    struct structure structure;
    TRY(structure_find(&structure, arena, model, trace));
    if (kind != STATE_KIND_embedding && layer >= structure.layer_count)
        return status_fail(trace, INVALID, "expected a layer from 0 to %" PRIu32 ", found %" PRIu32,
                           structure.layer_count - 1, layer);
    *out = find_in(&structure, model, kind, &structure.layers[layer]);
    if (*out == ID_NONE)
        return status_fail(trace, UNSUPPORTED, "layer %" PRIu32 " has no state \"%s\"", layer,
                           state_table[kind].name);
    return OK;
}

enum status state_layers(uint32_t *out, struct arena *arena, const struct graph *model, struct trace *trace)
{
    struct structure structure;
    TRY(structure_find(&structure, arena, model, trace));
    *out = structure.layer_count;
    return OK;
}

struct graph *state_projection_create(int64_t teacher, int64_t student, uint64_t seed, uint32_t stream)
{
    struct graph *graph = graph_create();
    struct trace trace = {0};
    struct init_plan plan;
    uint32_t axes[] = {dims_leaf(&graph->dims, teacher), dims_leaf(&graph->dims, student)};
    uint32_t one = dims_leaf(&graph->dims, 1), of_states[] = {one, axes[1]};
    struct tensor_view view = {.dtype = DTYPE_F32, .rank = 2, .dims = {teacher, student}};
    uint32_t matrix = build_tensor(graph, str_from("projection"), &view, axes);
    uint32_t states = build_input(graph, "states", DTYPE_F32, 2, of_states);
    build_output(graph, "projected", build_binary(graph, OP_matmul_nt, states, matrix));
    struct init_options options = {.seed = seed,
                                   .deviation = gm_flush(gm_rsqrt(gm_from_uint((uint)student)))};
    if (init_plan_make(&plan, &graph->arena, graph, &options, &trace) != OK)
        BUG("a projection cannot be made");
    plan.tensors[0].stream = stream;
    init_fill(&plan, graph);
    return graph;
}

struct state_result state_losses_build(const struct state_build *build)
{
    struct state_result result;
    struct graph *graph = build->graph;
    enum op op = build->losses->distance == STATE_MSE ? OP_mse_rows : OP_cosine_loss_rows;
    for (uint32_t i = 0; i < build->losses->count; i++) {
        uint32_t state = build->student[i];
        if (state_is_relation(build->losses->pairs[i].kind)) {
            struct relation_result relation = relation_build(graph, state, build->teacher[i], build->weights,
                                                             build->losses->relation_heads);
            result.values[i] = state;
            result.gradients[i] = relation.gradient;
            result.losses[i] = relation.loss;
            continue;
        }
        if (build->projection != ID_NONE)
            state = build_binary(graph, OP_matmul_nt, state, build->projection);
        uint32_t inputs[] = {state, build->teacher[i], build->weights};
        uint32_t losses = build_op(graph, op, inputs, NULL);
        result.values[i] = state;
        result.gradients[i] = build_result(graph, losses, 1);
        result.losses[i] = build_binary(graph, OP_dot, losses, build->weights);
    }
    return result;
}

static uint32_t times(struct graph *graph, uint32_t x, float factor)
{
    struct build_attributes attributes = {.scale = factor};
    return factor == 1 ? x : build_op(graph, OP_scale, &x, &attributes);
}

void state_losses_scale(struct state_result *result, const struct state_build *build, uint32_t divergence)
{
    struct graph *graph = build->graph;
    const struct state_losses *losses = build->losses;
    uint32_t sum = ID_NONE;
    for (uint32_t i = 0; i < losses->count; i++) {
        uint32_t loss = times(graph, result->losses[i], losses->pairs[i].weight);
        sum = sum == ID_NONE ? loss : build_binary(graph, OP_add, sum, loss);
        result->gradients[i] = times(graph, result->gradients[i], losses->pairs[i].weight);
    }
    for (uint32_t i = 0; i < losses->count && losses->scale == STATE_DYNAMIC; i++) {
        uint32_t inputs[] = {result->gradients[i], divergence, sum};
        result->gradients[i] = build_op(graph, OP_scale_ratio, inputs, NULL);
    }
}
