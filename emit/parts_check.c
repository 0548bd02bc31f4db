/* See emit/parts_check.h. Messages name the field of a configuration that has one value for all layers. */
#include "emit/parts_check.h"
#include <inttypes.h>

static const char *describe(const struct matcher *m, uint32_t value)
{
    const struct value *v = graph_value(m->graph, value);
    struct arena *arena = &m->parts->arena;
    if (v->origin != VALUE_NODE)
        return v->origin == VALUE_TENSOR ? "a weight" : "an input";
    const struct node *node = &m->graph->nodes.items[v->source];
    return arena_printf(arena, "node %" PRIu32 " (%s%s" STR_FORMAT ")", v->source, op_table[node->op].name,
                        node->origin.length > 0 ? ", " : "", STR_ARGUMENT(node->origin));
}

enum status parts_refuse(const struct matcher *m, uint32_t value, const char *expected)
{
    return status_fail(m->trace, UNSUPPORTED, "expected %s, found %s", expected, describe(m, value));
}

static enum status differs(const struct matcher *m, const char *field, double a, double b)
{
    return status_fail(m->trace, UNSUPPORTED,
                       "a configuration has one %s for all layers, found %.9g and %.9g", field, a, b);
}

/* The first layer that has its attention, or its MLP. */
static const struct parts_layer *first_with(const struct parts *p, bool has_attention)
{
    for (uint32_t i = 0; i < p->layers.count; i++)
        if (has_attention ? p->layers.items[i].attention != NULL : p->layers.items[i].down.weight != NULL)
            return &p->layers.items[i];
    return NULL;
}

static enum status check_attention(struct matcher *m, struct parts_layer *layer)
{
    struct parts *p = m->parts;
    const struct node *node = layer->attention;
    int64_t heads = node_integer(node, ATTRIBUTE_heads), groups = node_integer(node, ATTRIBUTE_kv_heads),
            window = node_integer(node, ATTRIBUTE_window);
    if (heads != p->heads)
        return differs(m, "num_attention_heads", (double)p->heads, (double)heads);
    if (groups != p->kv_heads)
        return differs(m, "num_key_value_heads", (double)p->kv_heads, (double)groups);
    if (node_real(node, ATTRIBUTE_scale) != p->scale)
        return differs(m, "attention scale", (double)p->scale, (double)node_real(node, ATTRIBUTE_scale));
    if (node_softcap(node) != p->softcap)
        return differs(m, "attn_logit_softcapping", (double)p->softcap, (double)node_softcap(node));
    if (window > 0 && p->window > 0 && window != p->window)
        return differs(m, "sliding_window", (double)p->window, (double)window);
    if (!node_integer(node, ATTRIBUTE_causal))
        return parts_refuse(m, node->results[0], "causal attention");
    p->window = window > 0 ? window : p->window;
    layer->window = window;
    return OK;
}

static enum status check_attentions(struct matcher *m)
{
    struct parts *p = m->parts;
    const struct parts_layer *first = first_with(p, true);
    if (!first || !first_with(p, false))
        return status_fail(m->trace, UNSUPPORTED, "no layer has %s", first ? "an MLP" : "attention");
    p->heads = node_integer(first->attention, ATTRIBUTE_heads);
    p->kv_heads = node_integer(first->attention, ATTRIBUTE_kv_heads);
    p->scale = node_real(first->attention, ATTRIBUTE_scale);
    p->softcap = node_softcap(first->attention);
    for (uint32_t i = 0; i < p->layers.count; i++)
        if (p->layers.items[i].attention)
            TRY(check_attention(m, &p->layers.items[i]));
    return OK;
}

static enum status check_norms(struct matcher *m)
{
    const struct node *first = m->norms.items[0];
    m->parts->epsilon = node_real(first, ATTRIBUTE_epsilon);
    m->parts->norm_kind = first->op == OP_layernorm ? DECODER_LAYERNORM : DECODER_RMSNORM;
    for (uint32_t i = 0; i < m->norms.count; i++) {
        const struct node *norm = m->norms.items[i];
        float epsilon = node_real(norm, ATTRIBUTE_epsilon);
        if (epsilon != m->parts->epsilon)
            return differs(m, "norm epsilon", (double)m->parts->epsilon, (double)epsilon);
        if ((norm->op == OP_layernorm) != (first->op == OP_layernorm))
            return parts_refuse(m, norm->results[0], "norms of one kind");
    }
    return OK;
}

/* The stored frequencies of a rotation's table, or NULL. */
static const struct tensor *frequencies_of(const struct matcher *m, const struct node *rope)
{
    const struct value *table = graph_value(m->graph, rope->inputs[1]);
    const struct node *node = table->origin == VALUE_NODE ? &m->graph->nodes.items[table->source] : NULL;
    const struct value *w =
        node && node->op == OP_rotary_table ? graph_value(m->graph, node->inputs[1]) : NULL;
    return w && w->origin == VALUE_TENSOR && !node_integer(rope, ATTRIBUTE_inverse)
               ? &m->graph->tensors.items[w->source]
               : NULL;
}

/* Queries and keys of a layer alike; layers with a window may have frequencies of their own. */
static enum status check_ropes(struct matcher *m)
{
    struct parts *p = m->parts;
    for (uint32_t i = 0; i < p->layers.count; i++) {
        struct parts_layer *layer = &p->layers.items[i];
        const struct node *query = layer->ropes[0], *key = layer->ropes[1];
        if (!layer->attention)
            continue;
        layer->frequencies = query ? frequencies_of(m, query) : NULL;
        if (!query != !key ||
            (query && (!layer->frequencies || frequencies_of(m, key) != layer->frequencies)))
            return parts_refuse(m, layer->attention->results[0],
                                "queries and keys rotated by one table of stored frequencies, or neither");
        const struct tensor **place = layer->window > 0 ? &p->local_frequencies : &p->frequencies;
        if (layer->frequencies && *place && *place != layer->frequencies)
            return parts_refuse(m, query->results[0],
                                "one rotary table of stored frequencies for all layers");
        *place = layer->frequencies ? layer->frequencies : *place;
        p->has_bare_layers |= !layer->frequencies;
    }
    if (!p->frequencies)
        p->frequencies = p->local_frequencies;
    if (p->local_frequencies == p->frequencies)
        p->local_frequencies = NULL;
    p->has_bare_layers &= p->frequencies != NULL;
    return OK;
}

/* Where a branch has norms. */
static enum decoder_norms place_of(const struct part_norm *before, const struct part_norm *after)
{
    return !after->weight ? NORMS_BEFORE : before->weight ? NORMS_AROUND : NORMS_AFTER;
}

static bool place_fits(const struct parts *p, const struct part_norm *before, const struct part_norm *after)
{
    return (before->weight || after->weight) && place_of(before, after) == p->norms;
}

/* The norms of a layer stand where those of the others do. */
static enum status check_norms_of(struct matcher *m, const struct parts_layer *layer)
{
    struct parts *p = m->parts;
    const struct parts_layer *first = first_with(p, true);
    if ((layer->attention && !place_fits(p, &layer->attention_norm, &layer->attention_post_norm)) ||
        (layer->down.weight && !place_fits(p, &layer->mlp_norm, &layer->mlp_post_norm)))
        return status_fail(m->trace, UNSUPPORTED,
                           "its branches have norms in other places than those of others");
    p->shares_norm &= layer->attention && layer->down.weight &&
                      layer->attention_norm.weight == layer->mlp_norm.weight &&
                      layer->attention_norm.bias == layer->mlp_norm.bias;
    if (!layer->attention)
        return OK;
    if (!layer->q_norm != !first->q_norm || !layer->k_norm != !first->q_norm)
        return status_fail(m->trace, UNSUPPORTED, "queries and keys are normalised in some places only");
    if (!layer->slopes != !first->slopes)
        return status_fail(m->trace, UNSUPPORTED, "scores fall with the distance in some layers only");
    p->has_windows_apart |= (layer->window > 0) != (first->window > 0);
    return OK;
}

static enum status check_kinds(struct matcher *m)
{
    struct parts *p = m->parts;
    p->is_gated = m->mlps.items[0].is_gated;
    p->activation = m->mlps.items[0].activation;
    p->is_parallel = m->parallel > 0;
    const struct parts_layer *first = first_with(p, true);
    p->has_slopes = first->slopes != NULL;
    p->norms = place_of(&first->attention_norm, &first->attention_post_norm);
    p->shares_norm = true;
    if (m->parallel != 0 && m->parallel != p->layers.count)
        return status_fail(m->trace, UNSUPPORTED,
                           "a configuration has one use_parallel_residual for all layers, found both kinds");
    for (uint32_t i = 0; i < m->mlps.count; i++)
        if (m->mlps.items[i].is_gated != p->is_gated || m->mlps.items[i].activation != p->activation)
            return status_fail(
                m->trace, UNSUPPORTED,
                "a configuration has one hidden_act for all layers, found MLPs of several kinds");
    for (uint32_t i = 0; i < p->layers.count; i++)
        TRY_WITH(m->trace, check_norms_of(m, &p->layers.items[i]), "while looking at layer %" PRIu32, i);
    return OK;
}

/* ---- sizes ---- */

static enum status check_linear(struct matcher *m, const struct part_linear *linear, int64_t rows,
                                int64_t columns, const char *field)
{
    const int64_t *dims = linear->weight->view.dims;
    if (dims[0] == rows && dims[1] == columns)
        return OK;
    return status_fail(
        m->trace, UNSUPPORTED,
        "a configuration has one %s for all layers, and one for keys and values: expected a weight "
        "of [%" PRId64 ", %" PRId64 "], found [%" PRId64 ", %" PRId64 "]",
        field, rows, columns, dims[0], dims[1]);
}

static enum status check_attention_sizes(struct matcher *m, const struct parts_layer *layer)
{
    struct parts *p = m->parts;
    int64_t wide = p->heads * p->head_size, narrow = p->kv_heads * p->head_size;
    TRY(check_linear(m, &layer->q, wide, p->hidden, "head_dim"));
    TRY(check_linear(m, &layer->k, narrow, p->hidden, "head_dim"));
    TRY(check_linear(m, &layer->v, narrow, p->hidden, "head_dim"));
    TRY(check_linear(m, &layer->o, p->hidden, wide, "head_dim"));
    enum decoder_head_norms kind = !layer->q_norm                                ? HEAD_NORMS_NONE
                                   : layer->q_norm->view.dims[0] == p->head_size ? HEAD_NORMS_EACH
                                                                                 : HEAD_NORMS_WHOLE;
    p->head_norms = layer == first_with(p, true) ? kind : p->head_norms;
    if (kind != p->head_norms)
        return status_fail(m->trace, UNSUPPORTED, "queries and keys are normalised in two ways");
    p->has_qkv_bias |= layer->q.bias || layer->k.bias || layer->v.bias;
    p->has_o_bias |= layer->o.bias != NULL;
    return OK;
}

static enum status check_mlp_sizes(struct matcher *m, const struct parts_layer *layer)
{
    struct parts *p = m->parts;
    if (p->is_gated)
        TRY(check_linear(m, &layer->gate, p->ffn, p->hidden, "intermediate_size"));
    TRY(check_linear(m, &layer->up, p->ffn, p->hidden, "intermediate_size"));
    TRY(check_linear(m, &layer->down, p->hidden, p->ffn, "intermediate_size"));
    p->has_mlp_bias |= layer->gate.bias || layer->up.bias || layer->down.bias;
    return OK;
}

static enum status check_layer(struct matcher *m, const struct parts_layer *layer)
{
    if (layer->attention)
        TRY(check_attention_sizes(m, layer));
    if (layer->down.weight)
        TRY(check_mlp_sizes(m, layer));
    return OK;
}

static enum status check_sizes(struct matcher *m)
{
    struct parts *p = m->parts;
    p->vocabulary = p->embed->view.dims[0];
    p->hidden = p->embed->view.dims[1];
    p->head_size = first_with(p, true)->q.weight->view.dims[0] / p->heads;
    p->ffn = first_with(p, false)->up.weight->view.dims[0];
    if (p->head && p->head->view.dims[0] != p->vocabulary)
        return status_fail(m->trace, UNSUPPORTED,
                           "a configuration has one vocab_size, found %" PRId64
                           " rows in the embedding and %" PRId64 " in the head",
                           p->vocabulary, p->head->view.dims[0]);
    for (uint32_t i = 0; i < p->layers.count; i++)
        TRY_WITH(m->trace, check_layer(m, &p->layers.items[i]), "while looking at layer %" PRIu32, i);
    return OK;
}

enum status parts_check(struct matcher *m)
{
    TRY(check_attentions(m));
    TRY(check_norms(m));
    TRY(check_ropes(m));
    TRY(check_kinds(m));
    return check_sizes(m);
}
