/* See emit/llama.h. The graph is walked from the logits down the residual stream to the embedding; what has
 * no place in a layer stops the walk with the node's name. */
#include "emit/llama.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

struct matcher {
    const struct graph *graph;
    struct llama *llama;
    VEC(struct llama_layer) upwards; /* layers as they are met, the last one first */
    VEC(const struct node *) attentions, norms, ropes;
    struct trace *trace;
};

static const struct node *producer(const struct matcher *m, uint32_t value, enum op op)
{
    const struct value *v = graph_value(m->graph, value);
    const struct node *node = v->origin == VALUE_NODE ? &m->graph->nodes.items[v->source] : NULL;
    return node && node->op == op && v->slot == 0 ? node : NULL;
}

static const struct tensor *tensor_of(const struct matcher *m, uint32_t value, uint32_t rank)
{
    const struct value *v = graph_value(m->graph, value);
    return v->origin == VALUE_TENSOR && v->rank == rank ? &m->graph->tensors.items[v->source] : NULL;
}

static const char *describe(const struct matcher *m, uint32_t value)
{
    const struct value *v = graph_value(m->graph, value);
    struct arena *arena = &m->llama->arena;
    if (v->origin != VALUE_NODE)
        return v->origin == VALUE_TENSOR ? "a weight" : "an input";
    const struct node *node = &m->graph->nodes.items[v->source];
    return arena_printf(arena, "node %" PRIu32 " (%s%s" STR_FORMAT ")", v->source, op_table[node->op].name,
                        node->origin.length > 0 ? ", " : "", STR_ARGUMENT(node->origin));
}

static enum status refuse(const struct matcher *m, uint32_t value, const char *expected)
{
    return status_fail(m->trace, UNSUPPORTED, "expected %s, found %s", expected, describe(m, value));
}

/* y = matmul_nt(x, w), or that plus a vector. */
static bool match_linear(const struct matcher *m, uint32_t y, uint32_t *x, struct llama_linear *out)
{
    const struct node *add = producer(m, y, OP_add);
    *out = (struct llama_linear){0};
    for (uint32_t i = 0; add && i < 2 && !out->bias; i++) {
        out->bias = tensor_of(m, add->inputs[i], 1);
        if (out->bias)
            y = add->inputs[1 - i];
    }
    const struct node *product = producer(m, y, OP_matmul_nt);
    out->weight = product ? tensor_of(m, product->inputs[1], 2) : NULL;
    if (out->weight)
        *x = product->inputs[0];
    return out->weight && (out->bias || !add);
}

/* y = rmsnorm(x, w) */
static bool match_norm(struct matcher *m, uint32_t y, uint32_t *x, const struct tensor **weight)
{
    const struct node *norm = producer(m, y, OP_rmsnorm);
    *weight = norm ? tensor_of(m, norm->inputs[1], 1) : NULL;
    if (!*weight)
        return false;
    *x = norm->inputs[0];
    *VEC_PUSH(&m->llama->arena, &m->norms) = norm;
    return true;
}

/* value = down(silu(gate(n)) * up(n)), n = rmsnorm(stream) */
static bool match_mlp(struct matcher *m, uint32_t value, uint32_t stream, struct llama_layer *layer)
{
    uint32_t x, n_gate, n_up, below;
    if (!match_linear(m, value, &x, &layer->down))
        return false;
    const struct node *product = producer(m, x, OP_mul);
    for (uint32_t i = 0; product && i < 2; i++) {
        const struct node *silu = producer(m, product->inputs[i], OP_silu);
        if (silu && match_linear(m, silu->inputs[0], &n_gate, &layer->gate) &&
            match_linear(m, product->inputs[1 - i], &n_up, &layer->up))
            return n_gate == n_up && match_norm(m, n_gate, &below, &layer->mlp_norm) && below == stream;
    }
    return false;
}

static bool match_rotated(struct matcher *m, uint32_t value, uint32_t *n, struct llama_linear *out)
{
    const struct node *rope = producer(m, value, OP_rope);
    if (!rope)
        return false;
    *VEC_PUSH(&m->llama->arena, &m->ropes) = rope;
    return match_linear(m, rope->inputs[0], n, out);
}

/* value = o(attention(rope(q(n)), rope(k(n)), v(n))), n = rmsnorm(stream) */
static bool match_attention(struct matcher *m, uint32_t value, uint32_t stream, struct llama_layer *layer)
{
    uint32_t x, n, n_k, n_v, below;
    const struct node *attention =
        match_linear(m, value, &x, &layer->o) ? producer(m, x, OP_attention) : NULL;
    if (!attention || !match_rotated(m, attention->inputs[0], &n, &layer->q) ||
        !match_rotated(m, attention->inputs[1], &n_k, &layer->k) ||
        !match_linear(m, attention->inputs[2], &n_v, &layer->v))
        return false;
    *VEC_PUSH(&m->llama->arena, &m->attentions) = attention;
    return n == n_k && n == n_v && match_norm(m, n, &below, &layer->attention_norm) && below == stream;
}

typedef bool branch(struct matcher *m, uint32_t value, uint32_t stream, struct llama_layer *layer);

/* *x = add(stream, branch(stream)) in either order; steps down to the stream. */
static enum status match_branch(struct matcher *m, uint32_t *x, branch *match, struct llama_layer *layer,
                                const char *expected)
{
    const struct node *add = producer(m, *x, OP_add);
    for (uint32_t i = 0; add && i < 2; i++)
        if (match(m, add->inputs[i], add->inputs[1 - i], layer)) {
            *x = add->inputs[1 - i];
            return OK;
        }
    return refuse(m, *x, expected);
}

static enum status match_layers(struct matcher *m, uint32_t x)
{
    const struct node *embed;
    while (!(embed = producer(m, x, OP_embed))) {
        struct llama_layer layer = {0};
        TRY(match_branch(
            m, &x, match_mlp, &layer,
            "a residual gated MLP (down(silu(gate(norm)) * up(norm))), which every layer must have"));
        TRY(match_branch(m, &x, match_attention, &layer,
                         "residual attention with rotary embedding, which every layer must have"));
        *VEC_PUSH(&m->llama->arena, &m->upwards) = layer;
    }
    m->llama->embed = tensor_of(m, embed->inputs[0], 2);
    if (!m->llama->embed || graph_value(m->graph, embed->inputs[1])->origin != VALUE_INPUT)
        return refuse(m, embed->inputs[0], "an embedding weight picked by the input");
    if (m->upwards.count == 0)
        return status_fail(m->trace, UNSUPPORTED, "expected at least one layer, found none");
    for (uint32_t i = m->upwards.count; i-- > 0;)
        *VEC_PUSH(&m->llama->arena, &m->llama->layers) = m->upwards.items[i];
    return OK;
}

/* ---- what must be the same everywhere ---- */

static enum status differs(const struct matcher *m, const char *what, double a, double b)
{
    return status_fail(m->trace, UNSUPPORTED,
                       "the configuration has one %s for all layers, found %.9g and %.9g", what, a, b);
}

static enum status check_attentions(struct matcher *m)
{
    const struct node *first = m->attentions.items[0];
    struct llama *llama = m->llama;
    llama->heads = node_integer(first, ATTRIBUTE_heads);
    llama->kv_heads = node_integer(first, ATTRIBUTE_kv_heads);
    llama->scale = node_real(first, ATTRIBUTE_scale);
    for (uint32_t i = 0; i < m->attentions.count; i++) {
        const struct node *node = m->attentions.items[i];
        int64_t heads = node_integer(node, ATTRIBUTE_heads), groups = node_integer(node, ATTRIBUTE_kv_heads);
        if (heads != llama->heads)
            return differs(m, "number of query heads", (double)llama->heads, (double)heads);
        if (groups != llama->kv_heads)
            return differs(m, "number of key-value heads", (double)llama->kv_heads, (double)groups);
        if (node_real(node, ATTRIBUTE_scale) != llama->scale)
            return differs(m, "attention scale", (double)llama->scale,
                           (double)node_real(node, ATTRIBUTE_scale));
        if (!node_integer(node, ATTRIBUTE_causal))
            return refuse(m, node->results[0], "causal attention");
    }
    return OK;
}

static enum status check_norms(struct matcher *m)
{
    m->llama->epsilon = node_real(m->norms.items[0], ATTRIBUTE_epsilon);
    for (uint32_t i = 0; i < m->norms.count; i++) {
        float epsilon = node_real(m->norms.items[i], ATTRIBUTE_epsilon);
        if (epsilon != m->llama->epsilon)
            return differs(m, "norm epsilon", (double)m->llama->epsilon, (double)epsilon);
    }
    return OK;
}

static enum status check_ropes(struct matcher *m)
{
    const struct node *table = producer(m, m->ropes.items[0]->inputs[1], OP_rotary_table);
    m->llama->frequencies = table ? tensor_of(m, table->inputs[1], 1) : NULL;
    for (uint32_t i = 0; i < m->ropes.count; i++) {
        const struct node *rope = m->ropes.items[i];
        const struct node *other = producer(m, rope->inputs[1], OP_rotary_table);
        if (!other || !m->llama->frequencies || other->inputs[1] != m->llama->frequencies->value ||
            node_integer(rope, ATTRIBUTE_inverse))
            return refuse(m, rope->results[0], "one rotary table of stored frequencies for all layers");
    }
    return OK;
}

static enum status check_linear(struct matcher *m, const struct llama_linear *linear, int64_t rows,
                                int64_t columns, const char *what)
{
    const int64_t *dims = linear->weight->view.dims;
    if (dims[0] == rows && dims[1] == columns)
        return OK;
    return status_fail(m->trace, UNSUPPORTED,
                       "all layers must have equal sizes and head size, keys' and values', "
                       "must be one: expected %s of [%" PRId64 ", %" PRId64 "], found [%" PRId64 ", %" PRId64
                       "]",
                       what, rows, columns, dims[0], dims[1]);
}

static enum status check_layer(struct matcher *m, const struct llama_layer *layer)
{
    struct llama *l = m->llama;
    int64_t wide = l->heads * l->head_size, narrow = l->kv_heads * l->head_size;
    TRY(check_linear(m, &layer->q, wide, l->hidden, "q"));
    TRY(check_linear(m, &layer->k, narrow, l->hidden, "k"));
    TRY(check_linear(m, &layer->v, narrow, l->hidden, "v"));
    TRY(check_linear(m, &layer->o, l->hidden, wide, "o"));
    TRY(check_linear(m, &layer->gate, l->ffn, l->hidden, "gate"));
    TRY(check_linear(m, &layer->up, l->ffn, l->hidden, "up"));
    TRY(check_linear(m, &layer->down, l->hidden, l->ffn, "down"));
    l->attention_has_bias |= layer->q.bias || layer->k.bias || layer->v.bias || layer->o.bias;
    l->mlp_has_bias |= layer->gate.bias || layer->up.bias || layer->down.bias;
    return OK;
}

static enum status check_sizes(struct matcher *m)
{
    struct llama *l = m->llama;
    const struct llama_layer *first = &l->layers.items[0];
    l->vocabulary = l->embed->view.dims[0];
    l->hidden = l->embed->view.dims[1];
    l->head_size = first->q.weight->view.dims[0] / l->heads;
    l->ffn = first->gate.weight->view.dims[0];
    if (2 * l->frequencies->view.dims[0] != l->head_size)
        return status_fail(m->trace, UNSUPPORTED,
                           "expected a rotary frequency for each pair of a head's %" PRId64
                           " channels, found %" PRId64,
                           l->head_size, l->frequencies->view.dims[0]);
    if (l->head && l->head->view.dims[0] != l->vocabulary)
        return status_fail(m->trace, UNSUPPORTED,
                           "the configuration has one vocabulary, found %" PRId64
                           " rows in the embedding and %" PRId64 " in the head",
                           l->vocabulary, l->head->view.dims[0]);
    for (uint32_t i = 0; i < l->layers.count; i++)
        TRY_WITH(m->trace, check_layer(m, &l->layers.items[i]), "while looking at layer %" PRIu32, i);
    return OK;
}

static enum status check_interface(const struct matcher *m, uint32_t logits)
{
    if (logits == ID_NONE)
        return status_fail(m->trace, UNSUPPORTED, "the graph has no output logits");
    if (m->graph->outputs.count != 1 || m->graph->inputs.count != 1)
        return status_fail(m->trace, UNSUPPORTED,
                           "expected one input and one output, found %" PRIu32 " and %" PRIu32,
                           m->graph->inputs.count, m->graph->outputs.count);
    return OK;
}

enum status llama_find(struct llama *out, const struct graph *graph, struct trace *trace)
{
    *out = (struct llama){0};
    struct matcher m = {.graph = graph, .llama = out, .trace = trace};
    struct llama_linear head;
    uint32_t logits = graph_find_output(graph, "logits"), x;
    TRY(check_interface(&m, logits));
    if (!match_linear(&m, logits, &x, &head) || head.bias)
        return refuse(&m, logits, "logits from a linear layer without a bias");
    if (!match_norm(&m, x, &x, &out->norm))
        return refuse(&m, x, "a norm before the head");
    TRY(match_layers(&m, x));
    out->head = head.weight == out->embed ? NULL : head.weight;
    TRY(check_attentions(&m));
    TRY(check_norms(&m));
    TRY(check_ropes(&m));
    return check_sizes(&m);
}

void llama_release(struct llama *llama)
{
    arena_release(&llama->arena);
    *llama = (struct llama){0};
}

enum status llama_find_query_factor(float *out, const struct llama *llama, struct trace *trace)
{
    double usual = 1 / sqrt((double)llama->head_size), scale = (double)llama->scale;
    if (!(scale > 0) || !isfinite(scale))
        return status_fail(trace, UNSUPPORTED, "attention scale %.9g", scale);
    /* Half a unit in the last place is rounding; a whole one more, that of another way to compute it. */
    *out = fabs(scale / usual - 1) < 0x1.8p-23 ? 1 : (float)(scale / usual);
    return OK;
}
