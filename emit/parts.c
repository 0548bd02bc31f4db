/* See emit/parts.h. The graph is walked from the logits down the residual stream to the embedding; what has
 * no place in a layer stops the walk with the node's name. */
#include "emit/parts.h"
#include "base/log.h"
#include "emit/parts_check.h"
#include <inttypes.h>
#include <math.h>

static const struct node *any_producer(const struct matcher *m, uint32_t value)
{
    const struct value *v = graph_value(m->graph, value);
    return v->origin == VALUE_NODE && v->slot == 0 ? &m->graph->nodes.items[v->source] : NULL;
}

static const struct node *producer(const struct matcher *m, uint32_t value, enum op op)
{
    const struct node *node = any_producer(m, value);
    return node && node->op == op ? node : NULL;
}

static const struct tensor *tensor_of(const struct matcher *m, uint32_t value, uint32_t rank)
{
    const struct value *v = graph_value(m->graph, value);
    return v->origin == VALUE_TENSOR && v->rank == rank ? &m->graph->tensors.items[v->source] : NULL;
}

/* y = x, or x plus a vector. False when y is another sum. */
static bool match_bias(const struct matcher *m, uint32_t y, uint32_t *x, const struct tensor **bias)
{
    const struct node *add = producer(m, y, OP_add);
    *bias = NULL;
    *x = y;
    for (uint32_t i = 0; add && i < 2 && !*bias; i++) {
        *bias = tensor_of(m, add->inputs[i], 1);
        if (*bias)
            *x = add->inputs[1 - i];
    }
    return *bias || !add;
}

/* y = matmul_nt(x, w), or that plus a vector. */
static bool match_linear(const struct matcher *m, uint32_t y, uint32_t *x, struct part_linear *out)
{
    *out = (struct part_linear){0};
    if (!match_bias(m, y, &y, &out->bias))
        return false;
    const struct node *product = producer(m, y, OP_matmul_nt);
    out->weight = product ? tensor_of(m, product->inputs[1], 2) : NULL;
    if (out->weight)
        *x = product->inputs[0];
    return out->weight;
}

/* y = rmsnorm(x, w), or layernorm(x, w), perhaps plus a vector */
static bool match_norm(struct matcher *m, uint32_t y, uint32_t *x, struct part_norm *out)
{
    *out = (struct part_norm){0};
    if (!match_bias(m, y, &y, &out->bias))
        return false;
    const struct node *norm = any_producer(m, y);
    if (!norm || (norm->op != OP_rmsnorm && norm->op != OP_layernorm))
        return false;
    out->weight = tensor_of(m, norm->inputs[1], 1);
    *x = norm->inputs[0];
    if (out->weight)
        *VEC_PUSH(&m->parts->arena, &m->norms) = norm;
    return out->weight;
}

/* ---- the MLP ---- */

static enum decoder_activation activation_of(enum op op)
{
    switch (op) {
    case OP_silu:
        return ACTIVATION_SILU;
    case OP_gelu:
        return ACTIVATION_GELU;
    case OP_gelu_tanh:
        return ACTIVATION_GELU_TANH;
    case OP_relu:
        return ACTIVATION_RELU;
    default:
        return ACTIVATION_NONE;
    }
}

/* y = activation(x); the square of a ReLU is its product with itself. */
static enum decoder_activation match_activation(const struct matcher *m, uint32_t y, uint32_t *x)
{
    const struct node *square = producer(m, y, OP_mul);
    bool is_square = square && square->inputs[0] == square->inputs[1];
    const struct node *node = any_producer(m, is_square ? square->inputs[0] : y);
    enum decoder_activation activation = node ? activation_of(node->op) : ACTIVATION_NONE;
    if (activation == ACTIVATION_NONE || (is_square && activation != ACTIVATION_RELU))
        return ACTIVATION_NONE;
    *x = node->inputs[0];
    return is_square ? ACTIVATION_RELU_SQUARED : activation;
}

/* y = activation(gate) * up */
static bool match_gated(const struct matcher *m, uint32_t y, uint32_t *gate, uint32_t *up,
                        enum decoder_activation *activation)
{
    const struct node *product = producer(m, y, OP_mul);
    for (uint32_t i = 0; product && product->inputs[0] != product->inputs[1] && i < 2; i++) {
        *activation = match_activation(m, product->inputs[i], gate);
        *up = product->inputs[1 - i];
        if (*activation != ACTIVATION_NONE)
            return true;
    }
    return false;
}

/* n = norm(stream), or the stream itself */
static bool match_read(struct matcher *m, uint32_t n, uint32_t stream, struct part_norm *norm)
{
    uint32_t x;
    *norm = (struct part_norm){0};
    return n == stream || (match_norm(m, n, &x, norm) && x == stream);
}

/* *y = norm(y below), where there is one. */
static void match_given(struct matcher *m, uint32_t *y, struct part_norm *norm)
{
    if (!match_norm(m, *y, y, norm))
        *norm = (struct part_norm){0};
}

/* value = down(activation(gate(n)) * up(n)) or down(activation(up(n))), perhaps normalised, of n =
 * norm(stream) or the stream */
static bool match_mlp(struct matcher *m, uint32_t value, uint32_t stream, struct parts_layer *layer)
{
    uint32_t x, n_gate, n_up, gate, up;
    enum decoder_activation activation;
    match_given(m, &value, &layer->mlp_post_norm);
    if (!match_linear(m, value, &x, &layer->down))
        return false;
    bool is_gated = match_gated(m, x, &gate, &up, &activation);
    if (!is_gated)
        activation = match_activation(m, x, &up);
    if (activation == ACTIVATION_NONE || !match_linear(m, up, &n_up, &layer->up))
        return false;
    if (is_gated && (!match_linear(m, gate, &n_gate, &layer->gate) || n_gate != n_up))
        return false;
    struct mlp_kind kind = {is_gated, activation};
    if (!match_read(m, n_up, stream, &layer->mlp_norm))
        return false;
    *VEC_PUSH(&m->parts->arena, &m->mlps) = kind;
    return true;
}

/* ---- attention ---- */

/* value = rotated, normalised, projected n; each of the first two may be missing. */
static bool match_query(struct matcher *m, uint32_t value, uint32_t *n, struct part_linear *out,
                        const struct tensor **norm, const struct node **rotation)
{
    const struct node *rope = any_producer(m, value), *inner;
    bool is_rotated = rope && (rope->op == OP_rope || rope->op == OP_rope_part);
    if (is_rotated)
        value = rope->inputs[0];
    inner = any_producer(m, value);
    *norm = NULL;
    if (inner && (inner->op == OP_head_rmsnorm || inner->op == OP_rmsnorm)) {
        *norm = tensor_of(m, inner->inputs[1], 1);
        value = inner->inputs[0];
        *VEC_PUSH(&m->parts->arena, &m->norms) = inner;
    }
    *rotation = is_rotated ? rope : NULL;
    return match_linear(m, value, n, out);
}

static const struct tensor *slopes_of(const struct matcher *m, const struct node *attention)
{
    uint32_t input = op_constant_input(attention->op);
    return input == UINT32_MAX ? NULL : tensor_of(m, attention->inputs[input], 1);
}

/* value = o(attention(q(n), k(n), v(n))), perhaps normalised, of n = norm(stream) or the stream */
static bool match_attention(struct matcher *m, uint32_t value, uint32_t stream, struct parts_layer *layer)
{
    uint32_t x, n, n_k, n_v;
    match_given(m, &value, &layer->attention_post_norm);
    const struct node *attention = match_linear(m, value, &x, &layer->o) ? any_producer(m, x) : NULL;
    if (!attention || !op_is_attention(attention->op) ||
        !match_query(m, attention->inputs[0], &n, &layer->q, &layer->q_norm, &layer->ropes[0]) ||
        !match_query(m, attention->inputs[1], &n_k, &layer->k, &layer->k_norm, &layer->ropes[1]) ||
        !match_linear(m, attention->inputs[2], &n_v, &layer->v))
        return false;
    layer->attention = attention;
    layer->slopes = slopes_of(m, attention);
    return n == n_k && n == n_v && match_read(m, n, stream, &layer->attention_norm);
}

/* ---- layers ---- */

/* What was noted of nodes while a match was tried that came to nothing is forgotten. */
static void forget(struct matcher *m, const struct matcher *before)
{
    m->norms.count = before->norms.count;
    m->mlps.count = before->mlps.count;
}

typedef bool branch(struct matcher *m, uint32_t value, uint32_t stream, struct parts_layer *layer);

/* *x = add(stream, branch(stream)) in either order; steps down to the stream. */
static bool match_branch(struct matcher *m, uint32_t *x, branch *match, struct parts_layer *layer)
{
    const struct node *add = producer(m, *x, OP_add);
    struct matcher before = *m;
    for (uint32_t i = 0; add && i < 2; i++) {
        if (match(m, add->inputs[i], add->inputs[1 - i], layer)) {
            *x = add->inputs[1 - i];
            return true;
        }
        forget(m, &before);
    }
    return false;
}

/* *x = the sum, in any order, of stream, attention(stream) and MLP(stream). */
static bool match_parallel(struct matcher *m, uint32_t *x, struct parts_layer *layer)
{
    const struct node *outer = producer(m, *x, OP_add);
    for (uint32_t i = 0; outer && i < 2; i++) {
        const struct node *inner = producer(m, outer->inputs[i], OP_add);
        if (!inner)
            continue;
        uint32_t parts[3] = {outer->inputs[1 - i], inner->inputs[0], inner->inputs[1]};
        for (uint32_t k = 0; k < 6; k++) { /* orders of three */
            uint32_t a = k / 2, b = k % 2 == 0 ? (a + 1) % 3 : (a + 2) % 3, stream = parts[3 - a - b];
            struct matcher before = *m;
            if (match_attention(m, parts[a], stream, layer) && match_mlp(m, parts[b], stream, layer)) {
                *x = stream;
                return true;
            }
            forget(m, &before);
        }
    }
    return false;
}

static enum status match_layer(struct matcher *m, uint32_t *x, struct parts_layer *layer)
{
    struct matcher before = *m;
    *layer = (struct parts_layer){0};
    if (match_parallel(m, x, layer)) {
        m->parallel++;
        return OK;
    }
    forget(m, &before);
    *layer = (struct parts_layer){0};
    struct parts_layer mlp = {0}, attention = {0};
    bool has_mlp = match_branch(m, x, match_mlp, &mlp), fills = m->missing == PARTS_FILLED;
    if (!has_mlp && !fills)
        return parts_refuse(m, *x,
                            "a residual MLP (down(activation(up(norm)))), gated or not, in every layer");
    bool has_attention = match_branch(m, x, match_attention, &attention);
    if (!has_attention && !(fills && has_mlp))
        return parts_refuse(m, *x, "residual attention in every layer");
    if (has_attention)
        *layer = attention;
    if (has_mlp) {
        layer->mlp_norm = mlp.mlp_norm;
        layer->mlp_post_norm = mlp.mlp_post_norm;
        layer->gate = mlp.gate;
        layer->up = mlp.up;
        layer->down = mlp.down;
    }
    return OK;
}

/* The embedding below the first layer: rows picked, scaled, normalised, plus positions. NULL when x is
 * something else. */
static const struct node *match_embedding(struct matcher *m, uint32_t x)
{
    const struct node *sum = producer(m, x, OP_add_positions);
    uint32_t norms = m->norms.count;
    m->parts->first_position = sum ? node_integer(sum, ATTRIBUTE_start) : 0;
    m->parts->positions = sum ? tensor_of(m, sum->inputs[1], 2) : NULL;
    x = sum ? sum->inputs[0] : x;
    match_given(m, &x, &m->parts->embed_norm);
    const struct node *scale = producer(m, x, OP_scale);
    m->parts->embedding_scale = scale ? node_real(scale, ATTRIBUTE_scale) : 1;
    const struct node *embed = producer(m, scale ? scale->inputs[0] : x, OP_embed);
    m->norms.count = embed ? m->norms.count : norms;
    return embed;
}

static enum status match_layers(struct matcher *m, uint32_t x)
{
    const struct node *embed;
    while (!(embed = match_embedding(m, x)))
        TRY(match_layer(m, &x, VEC_PUSH(&m->parts->arena, &m->upwards)));
    m->parts->embed = tensor_of(m, embed->inputs[0], 2);
    if (!m->parts->embed || graph_value(m->graph, embed->inputs[1])->origin != VALUE_INPUT)
        return parts_refuse(m, embed->inputs[0], "an embedding weight picked by the input");
    if (m->upwards.count == 0)
        return status_fail(m->trace, UNSUPPORTED, "expected at least one layer, found none");
    for (uint32_t i = m->upwards.count; i-- > 0;)
        *VEC_PUSH(&m->parts->arena, &m->parts->layers) = m->upwards.items[i];
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

/* cap * tanh(logits / cap) */
static void match_cap(struct matcher *m, uint32_t *logits)
{
    const struct node *outer = producer(m, *logits, OP_scale);
    const struct node *bent = outer ? producer(m, outer->inputs[0], OP_tanh) : NULL;
    const struct node *inner = bent ? producer(m, bent->inputs[0], OP_scale) : NULL;
    float cap = outer ? node_real(outer, ATTRIBUTE_scale) : 0;
    if (!inner || !(fabsf(cap * node_real(inner, ATTRIBUTE_scale) - 1) < 0x1p-21f))
        return;
    m->parts->logit_softcap = cap;
    *logits = inner->inputs[0];
}

enum status parts_find(struct parts *out, const struct graph *graph, enum parts_missing missing,
                       struct trace *trace)
{
    *out = (struct parts){0};
    struct matcher m = {.graph = graph, .parts = out, .missing = missing, .trace = trace};
    struct part_linear head;
    uint32_t logits = graph_find_output(graph, "logits"), x;
    TRY(check_interface(&m, logits));
    match_cap(&m, &logits);
    if (!match_linear(&m, logits, &x, &head))
        return parts_refuse(&m, logits, "logits from a linear layer");
    out->head_bias = head.bias;
    if (!match_norm(&m, x, &x, &out->norm))
        return parts_refuse(&m, x, "a norm before the head");
    TRY(match_layers(&m, x));
    out->head = head.weight == out->embed ? NULL : head.weight;
    return parts_check(&m);
}

void parts_note_filled(const struct parts *parts)
{
    for (uint32_t i = 0; i < parts->layers.count; i++)
        if (!parts->layers.items[i].attention || !parts->layers.items[i].down.weight)
            log_note("note: layer %" PRIu32 " has no %s; zeros are written for it", i,
                     parts->layers.items[i].attention ? "MLP" : "attention");
}

void parts_release(struct parts *parts)
{
    arena_release(&parts->arena);
    *parts = (struct parts){0};
}

enum status parts_find_query_factor(float *out, const struct parts *parts, double usual, struct trace *trace)
{
    double scale = (double)parts->scale;
    if (usual == 0)
        usual = 1 / sqrt((double)parts->head_size);
    if (!(scale > 0) || !isfinite(scale))
        return status_fail(trace, UNSUPPORTED, "attention scale %.9g", scale);
    /* Half a unit in the last place is rounding; a whole one more, that of another way to compute it. */
    *out = fabs(scale / usual - 1) < 0x1.8p-23 ? 1 : (float)(scale / usual);
    return OK;
}
