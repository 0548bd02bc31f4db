/* Finding what scores come from: outputs of norms for the residual stream, outputs of attention for heads,
 * what an MLP's closing projection reads for neurons, or what its activation function reads. */
#include "measure/scorer.h"
#include <inttypes.h>

static struct site *add_site(struct scorer *s, const char *score, uint32_t layer, uint32_t value)
{
    const struct value *v = graph_value(s->model, value);
    struct site *site = VEC_PUSH(s->arena, &s->sites);
    *site = (struct site){.score = score, .layer = layer, .value = value, .reader = ID_NONE};
    site->channels = (uint32_t)dims_size(&s->model->dims, v->axes[v->rank - 1]);
    for (int i = 0; i < STATISTIC_COUNT; i++)
        site->statistics[i] = ID_NONE;
    site->mean = site->variance = site->taylor = ID_NONE;
    return site;
}

static const struct node *maker(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return v->origin == VALUE_NODE ? &graph->nodes.items[v->source] : NULL;
}

static const char *name_of(struct scorer *s, uint32_t layer, const char *role)
{
    return arena_printf(s->arena, "layers.%" PRIu32 ".%s", layer, role);
}

/* The linear layer that reads `value`, as the index of its weight. */
static uint32_t reader_of(const struct graph *graph, uint32_t value)
{
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        if (node->op == OP_matmul_nt && node->inputs[0] == value &&
            graph_value(graph, node->inputs[1])->origin == VALUE_TENSOR)
            return graph_value(graph, node->inputs[1])->source;
    }
    return ID_NONE;
}

static uint32_t last_axis(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return dims_find(&graph->dims, v->axes[v->rank - 1]);
}

bool scorer_is_stream_norm(const struct scorer *s, const struct node *node)
{
    return (node->op == OP_rmsnorm || node->op == OP_layernorm) &&
           last_axis(s->model, node->results[0]) == s->classes.structure.hidden;
}

/* A norm's result as others read it: with its bias, if there is one. */
static uint32_t norm_output(const struct graph *model, uint32_t norm)
{
    for (uint32_t n = 0; n < model->nodes.count; n++) {
        const struct node *node = &model->nodes.items[n];
        if (node->op == OP_add && node->inputs[0] == norm && graph_value(model, node->inputs[1])->rank == 1)
            return node->results[0];
    }
    return norm;
}

static bool is_activation_function(enum op op)
{
    return op == OP_silu || op == OP_gelu || op == OP_gelu_tanh || op == OP_relu || op == OP_tanh;
}

/* What the nearest activation function on the way to `value` reads; ID_NONE when there is none. */
static uint32_t before_activation(const struct graph *graph, uint32_t value)
{
    const struct node *node = maker(graph, value);
    if (!node || !(op_table[node->op].flags & OP_POINTWISE))
        return ID_NONE;
    if (is_activation_function(node->op))
        return node->inputs[0];
    for (uint32_t i = 0; i < node->input_count; i++) {
        uint32_t found = before_activation(graph, node->inputs[i]);
        if (found != ID_NONE)
            return found;
    }
    return ID_NONE;
}

/* The product over the neurons that leads back to the stream; NULL where the branch has none. */
static const struct node *closing_projection(const struct scorer *s, const struct branch *branch,
                                             const struct prunable *neurons)
{
    for (uint32_t i = branch->node_count; neurons && i-- > 0;) {
        const struct node *node = &s->model->nodes.items[branch->nodes[i]];
        if ((node->op == OP_matmul_nt || node->op == OP_matmul_nn) &&
            last_axis(s->model, node->inputs[0]) == neurons->leaf &&
            last_axis(s->model, node->results[0]) == s->classes.structure.hidden)
            return node;
    }
    return NULL;
}

static enum status add_neurons(struct scorer *s, const struct branch *branch, struct trace *trace)
{
    const struct prunable *neurons = classes_get_layer(&s->classes, branch->layer, "ffn");
    const struct node *node = closing_projection(s, branch, neurons);
    if (!node)
        return OK;
    uint32_t value = node->inputs[0];
    if (s->options->neurons == NEURONS_BEFORE) {
        value = before_activation(s->model, value);
        if (value == ID_NONE)
            return status_fail(trace, UNSUPPORTED,
                               "%s: no activation function was recognised, so nothing is before it",
                               neurons->name);
    }
    struct site *site = add_site(s, neurons->name, branch->layer, value);
    if (s->options->neurons == NEURONS_AFTER)
        site->reader = reader_of(s->model, value);
    return OK;
}

static enum status add_branch(struct scorer *s, const struct branch *branch, unsigned sites,
                              struct trace *trace)
{
    unsigned kind = branch->kind == BRANCH_ATTENTION ? SITE_ATTENTION : SITE_MLP;
    bool parallel = kind == SITE_ATTENTION && classes_get_layer(&s->classes, branch->layer, "ffn") &&
                    s->classes.structure.layers[branch->layer].mlp == ID_NONE;
    bool wanted = sites & (parallel ? SITE_ATTENTION | SITE_MLP : kind);
    for (uint32_t i = 0; i < branch->node_count && wanted; i++) {
        const struct node *node = &s->model->nodes.items[branch->nodes[i]];
        if (scorer_is_stream_norm(s, node))
            add_site(s, "hidden", branch->layer, norm_output(s->model, node->results[0]));
    }
    if (branch->attention == ID_NONE)
        return add_neurons(s, branch, trace);
    const struct node *attention = &s->model->nodes.items[branch->attention];
    struct site *site = add_site(s, name_of(s, branch->layer, "heads"), branch->layer, attention->results[0]);
    site->heads = (uint32_t)node_integer(attention, ATTRIBUTE_heads);
    site->reader = reader_of(s->model, attention->results[0]);
    return add_neurons(s, branch, trace); /* of a parallel residual */
}

enum status scorer_find_sites(struct scorer *s, struct trace *trace)
{
    const struct structure *structure = &s->classes.structure;
    unsigned sites = s->options->sites ? s->options->sites : SITE_ATTENTION | SITE_MLP;
    for (uint32_t i = 0; i < structure->branch_count; i++)
        TRY(add_branch(s, &structure->branches[i], sites, trace));
    for (uint32_t n = 0; n < s->model->nodes.count && sites & SITE_FINAL; n++) {
        const struct node *node = &s->model->nodes.items[n];
        if (scorer_is_stream_norm(s, node) && node->inputs[0] == structure->stream[structure->branch_count])
            add_site(s, "hidden", ID_NONE, norm_output(s->model, node->results[0]));
    }
    return OK;
}
