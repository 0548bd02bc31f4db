/* Lowering. Terms are numbered after their operands, so one pass over the needed ones suffices. A projection
 * (the linear layer of queries, keys, values, gate or up) is built where it is used: two that happen to be
 * equal stay two weights. */
#include "frontend/lower.h"
#include "frontend/decoded.h"
#include "ir/build.h"
#include "ir/text.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

struct lowering {
    struct importer *im;
    struct graph *graph;
    struct roles roles;
    bool *needed;                         /* per term */
    uint32_t *values;                     /* per term: IR value, ID_NONE */
    uint32_t *heights;                    /* per term: longest way down to the tokens */
    uint32_t *tables;                     /* per frequencies: IR value of the rotary table, ID_NONE */
    uint32_t embedding, embedding_weight; /* IR value and weight number of "embed" */
    struct map used_names;
    struct trace *trace;
};

static const struct term *get(const struct lowering *l, uint32_t term)
{
    return term_get(&l->im->terms, term);
}

/* The ONNX node that made a term; NULL when it comes from elsewhere. */
static const Onnx__NodeProto *origin_of(const struct lowering *l, uint32_t term)
{
    const Onnx__GraphProto *graph = l->im->file ? l->im->file->proto->graph : NULL;
    uint32_t origin = l->im->terms.origins.items[term];
    return graph && origin < graph->n_node ? graph->node[origin] : NULL;
}

static enum status fail_at(const struct lowering *l, uint32_t term, const char *why)
{
    uint32_t origin = l->im->terms.origins.items[term];
    const Onnx__NodeProto *node = origin_of(l, term);
    return status_fail(l->trace, UNSUPPORTED, "node '%s' (%s, number %u): %s %s",
                       node ? onnx_node_name(node) : "", node && node->op_type ? node->op_type : "", origin,
                       term_kind_name(get(l, term)->kind), why);
}

/* Keeps names apart when a graph has more parts than the family. */
static const char *unique_name(struct lowering *l, const char *name)
{
    struct arena *arena = l->im->arena;
    const char *result = name ? name : "weights";
    for (uint32_t i = 2; !map_add_text(&l->used_names, arena, str_from(result), 0); i++)
        result = arena_printf(arena, "%s_%u", name ? name : "weights", i);
    return result;
}

static uint32_t add_tensor(struct lowering *l, uint32_t weight, const char *name)
{
    const struct tensor_view *view = &l->im->weights.items[weight];
    uint32_t axes[TENSOR_MAX_RANK];
    for (uint32_t i = 0; i < view->rank; i++)
        axes[i] = dims_leaf(&l->graph->dims, view->dims[i]);
    return build_tensor(l->graph, str_from(unique_name(l, name)), view, axes);
}

static enum status add_node(struct lowering *l, uint32_t *out, uint32_t term, enum op op,
                            const uint32_t *inputs, const struct attribute *attributes)
{
    uint32_t results[NODE_MAX_RESULTS];
    if (build_node(l->graph, op, inputs, attributes, results, l->trace) != OK) {
        char text[512];
        snprintf(text, sizeof text, "does not fit its operands: %.400s", l->trace ? l->trace->text : "");
        return fail_at(l, term, text);
    }
    const Onnx__NodeProto *node = origin_of(l, term);
    const char *name = node ? onnx_node_name(node) : "";
    char *origin = arena_copy_string(&l->graph->arena, name, strlen(name));
    str_make_printable(origin, "");
    VEC_LAST(&l->graph->nodes).origin = str_from(origin);
    *out = results[0];
    return OK;
}

static enum status add_step(struct lowering *l, uint32_t *out, uint32_t term, enum op op, uint32_t a,
                            uint32_t b, const struct attribute *attributes)
{
    uint32_t inputs[] = {a, b};
    return add_node(l, out, term, op, inputs, attributes);
}

static struct attribute real(enum attribute_key key, double value)
{
    return (struct attribute){.key = key, .real = (float)value};
}

static struct attribute integer(enum attribute_key key, int64_t value)
{
    return (struct attribute){.key = key, .integer = value};
}

bool import_weights_equal(struct importer *im, uint32_t a, uint32_t b)
{
    const struct tensor_view *x = &im->weights.items[a], *y = &im->weights.items[b];
    const struct undecoded *left = decoded_find_left_out(im->model, x),
                           *right = decoded_find_left_out(im->model, y);
    bool is_certain, are_equal;
    if (im->model->use == IMPORT_TO_RUN)
        return weights_equal(x, y);
    if (left || right)
        return left && right && weights_have_one_shape(x, y) && undecoded_equal(left, right);
    are_equal = weights_look_equal(&is_certain, x, y);
    if (!is_certain)
        import_note(
            im, "the head was held against the embedding table in some places only, where they are equal");
    return are_equal;
}

static enum status lower_linear(struct lowering *l, uint32_t *out, uint32_t term, const char *name)
{
    const struct term *t = get(l, term);
    struct importer *im = l->im;
    uint32_t weight;
    if (term == l->roles.head && l->embedding != ID_NONE &&
        import_weights_equal(im, t->weight, l->embedding_weight)) {
        import_note(im,
                    t->weight == l->embedding_weight
                        ? "the head is the embedding table (tied in the file)"
                        : "tied embeddings rediscovered: the head equals the embedding table byte by byte");
        weight = l->embedding;
    } else {
        weight = add_tensor(l, t->weight, name);
    }
    return add_step(l, out, term, OP_matmul_nt, l->values[t->x], weight, NULL);
}

/* `values` live as long as the model. */
static uint32_t add_vector(struct lowering *l, const float *values, int64_t count, const char *name)
{
    struct tensor_view view = {.base = (const uint8_t *)values,
                               .base_size = (size_t)count * sizeof *values,
                               .dtype = DTYPE_F32,
                               .rank = 1,
                               .dims = {count},
                               .strides = {1}};
    uint32_t axis = dims_leaf(&l->graph->dims, count);
    return build_tensor(l->graph, str_from(unique_name(l, name)), &view, &axis);
}

static enum status lower_table(struct lowering *l, uint32_t index, uint32_t term)
{
    if (l->tables[index] != ID_NONE)
        return OK;
    const struct frequencies *f = &l->im->frequencies.items[index];
    uint32_t weight = add_vector(l, f->values, f->count, "inv_freq");
    return add_step(l, &l->tables[index], term, OP_rotary_table, l->graph->inputs.items[0].value, weight,
                    NULL);
}

/* A vector of ones, for a norm that has no weight. */
static uint32_t add_ones(struct lowering *l, int64_t size, const char *name)
{
    float *ones = ARENA_ARRAY(&l->im->model->arena, float, (size_t)size);
    for (int64_t i = 0; i < size; i++)
        ones[i] = 1;
    return add_vector(l, ones, size, name);
}

/* With or without weight, of all channels or of each head, its mean subtracted or not. */
static enum status lower_norm(struct lowering *l, uint32_t *out, uint32_t term, uint32_t x, const char *name)
{
    const struct term *t = get(l, term);
    bool is_centred = get(l, t->x)->kind == TERM_CENTRED;
    int64_t size = t->groups > 0 ? t->size / t->groups : t->size;
    uint32_t weight = t->kind == TERM_RMSNORM ? add_tensor(l, t->weight, name) : add_ones(l, size, name);
    struct attribute attributes[] = {integer(ATTRIBUTE_heads, t->groups), real(ATTRIBUTE_epsilon, t->number)};
    if (t->groups > 0)
        return add_step(l, out, term, OP_head_rmsnorm, x, weight, attributes);
    return add_step(l, out, term, is_centred ? OP_layernorm : OP_rmsnorm, x, weight, attributes + 1);
}

static enum status lower_rope(struct lowering *l, uint32_t *out, uint32_t term, uint32_t x)
{
    const struct term *t = get(l, term);
    struct attribute attributes[] = {integer(ATTRIBUTE_heads, t->groups), integer(ATTRIBUTE_inverse, 0)};
    TRY(lower_table(l, t->index, term));
    bool is_whole = l->im->frequencies.items[t->index].count * 2 == t->size / t->groups;
    return add_step(l, out, term, is_whole ? OP_rope : OP_rope_part, x, l->tables[t->index],
                    attributes + is_whole);
}

/* One term whose first operand has the value x. */
static enum status lower_step(struct lowering *l, uint32_t *out, uint32_t term, uint32_t x, const char *name)
{
    const struct term *t = get(l, term);
    struct attribute attribute;
    switch (t->kind) {
    case TERM_BIAS:
    case TERM_GAIN:
        name = name ? arena_printf(l->im->arena, t->kind == TERM_BIAS ? "%s.bias" : "%s.gain", name) : NULL;
        return add_step(l, out, term, t->kind == TERM_BIAS ? OP_add : OP_mul, x,
                        add_tensor(l, t->weight, name), NULL);
    case TERM_SCALE:
        attribute = real(ATTRIBUTE_scale, t->number);
        return add_step(l, out, term, OP_scale, x, 0, &attribute);
    case TERM_POSITIONS:
        attribute = integer(ATTRIBUTE_start, t->index);
        return add_step(l, out, term, OP_add_positions, x, add_tensor(l, t->weight, name), &attribute);
    case TERM_ROPE:
        return lower_rope(l, out, term, x);
    case TERM_NORMAL:
    case TERM_RMSNORM:
        return lower_norm(l, out, term, x, name);
    case TERM_SQUARE:
        return add_step(l, out, term, OP_mul, x, x, NULL);
    case TERM_SILU:
        return add_step(l, out, term, OP_silu, x, 0, NULL);
    case TERM_RELU:
        return add_step(l, out, term, OP_relu, x, 0, NULL);
    case TERM_GELU:
        return add_step(l, out, term, OP_gelu, x, 0, NULL);
    case TERM_GELU_TANH:
        return add_step(l, out, term, OP_gelu_tanh, x, 0, NULL);
    case TERM_TANH:
        return add_step(l, out, term, OP_tanh, x, 0, NULL);
    default:
        return fail_at(l, term, "is left that no rule understands");
    }
}

/* What a term's first operand is in the IR: a layer norm centres by itself. */
static uint32_t first_operand(const struct lowering *l, uint32_t term)
{
    const struct term *t = get(l, term);
    bool is_norm = t->kind == TERM_NORMAL || t->kind == TERM_RMSNORM;
    return is_norm && get(l, t->x)->kind == TERM_CENTRED ? get(l, t->x)->x : t->x;
}

/* A chain of steps over a linear layer, built anew. Other terms are taken as they are. */
static enum status lower_projection(struct lowering *l, uint32_t *out, uint32_t term, const char *name)
{
    uint32_t chain[16], count = 0, linear = roles_projection(&l->im->terms, term);
    if (linear == TERM_NONE) {
        *out = l->values[term];
        return OK;
    }
    for (; term != linear; term = get(l, term)->x)
        chain[count++] = term;
    TRY(lower_linear(l, out, linear, name));
    while (count-- > 0) {
        bool is_norm = get(l, chain[count])->kind == TERM_RMSNORM;
        TRY(lower_step(l, out, chain[count], *out,
                       is_norm ? arena_printf(l->im->arena, "%s.norm", name) : name));
    }
    return OK;
}

/* Each layer has its own, so that its heads can be pruned apart from those of others. */
static uint32_t add_slopes(struct lowering *l, uint32_t term)
{
    const struct frequencies *slopes = &l->im->slopes.items[get(l, term)->index - 1];
    return add_vector(l, slopes->values, slopes->count,
                      arena_printf(l->im->arena, "layers.%u.slopes", l->roles.layers[term] - 1));
}

static enum status lower_attention(struct lowering *l, uint32_t term)
{
    const struct term *t = get(l, term);
    static const char *const parts[] = {"q", "k", "v"};
    uint32_t terms[] = {t->x, t->y, t->z}, values[4];
    for (uint32_t i = 0; i < 3; i++) {
        const char *name = arena_printf(l->im->arena, "layers.%u.%s", l->roles.layers[term] - 1, parts[i]);
        TRY(lower_projection(l, &values[i], terms[i], name));
    }
    struct attribute attributes[] = {
        integer(ATTRIBUTE_heads, t->heads),   integer(ATTRIBUTE_kv_heads, t->groups),
        real(ATTRIBUTE_scale, t->number),     integer(ATTRIBUTE_causal, 1),
        integer(ATTRIBUTE_window, t->window), real(ATTRIBUTE_softcap, t->softcap),
    };
    if (t->index > 0)
        values[3] = add_slopes(l, term);
    return add_node(l, &l->values[term], term, t->index > 0 ? OP_sloped_attention : OP_attention, values,
                    attributes);
}

/* Sums and products commute; the operand that is nearer to the tokens comes first. */
static enum status lower_pair(struct lowering *l, uint32_t term, enum op op)
{
    const struct term *t = get(l, term);
    uint32_t first = t->x, second = t->y, gate, up;
    if (roles_gated(&l->im->terms, term, &gate, &up)) {
        uint32_t layer = roles_mlp_layer(&l->roles, term), value, other;
        TRY(lower_projection(l, &value, gate, arena_printf(l->im->arena, "layers.%u.gate", layer)));
        uint32_t activation = t->x == up ? t->y : t->x;
        TRY(lower_step(l, &value, activation, value, NULL));
        TRY(lower_projection(l, &other, up, arena_printf(l->im->arena, "layers.%u.up", layer)));
        return add_step(l, &l->values[term], term, op, value, other, NULL);
    }
    if (l->heights[second] < l->heights[first]) {
        first = t->y;
        second = t->x;
    }
    return add_step(l, &l->values[term], term, op, l->values[first], l->values[second], NULL);
}

static enum status lower_term(struct lowering *l, uint32_t term)
{
    const struct term *t = get(l, term);
    uint32_t *out = &l->values[term];
    const char *name = l->roles.names[term];
    switch (t->kind) {
    case TERM_TOKENS:
        *out = l->graph->inputs.items[0].value;
        return OK;
    case TERM_EMBED:
        if (l->embedding == ID_NONE || l->embedding_weight != t->weight) {
            l->embedding = add_tensor(l, t->weight, name);
            l->embedding_weight = t->weight;
        }
        return add_step(l, out, term, OP_embed, l->embedding, l->values[t->x], NULL);
    case TERM_LINEAR:
        return lower_linear(l, out, term, name);
    case TERM_ADD:
        return lower_pair(l, term, OP_add);
    case TERM_MULTIPLY:
        return lower_pair(l, term, OP_mul);
    case TERM_ATTENTION:
        return lower_attention(l, term);
    default:
        return lower_step(l, out, term, l->values[first_operand(l, term)], name);
    }
}

static uint32_t operands_of(const struct term *t, uint32_t out[3])
{
    out[0] = t->x;
    out[1] = t->y;
    out[2] = t->z;
    switch (t->kind) {
    case TERM_TOKENS:
    case TERM_MIX:
        return 0;
    case TERM_ADD:
    case TERM_MULTIPLY:
    case TERM_SCORES:
        return 2;
    case TERM_ATTENTION:
        return 3;
    default:
        return 1;
    }
}

/* What is built as part of something else is needed only below: operands of an attention and of a gated
 * product. */
static void mark_operands(struct lowering *l, uint32_t term)
{
    uint32_t operands[3], gate, up, count = operands_of(get(l, term), operands);
    bool is_gated = roles_gated(&l->im->terms, term, &gate, &up);
    operands[0] = first_operand(l, term);
    if (is_gated) {
        operands[0] = gate;
        operands[1] = up;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t linear = TERM_NONE;
        if (is_gated || get(l, term)->kind == TERM_ATTENTION)
            linear = roles_projection(&l->im->terms, operands[i]);
        l->needed[linear == TERM_NONE ? operands[i] : get(l, linear)->x] = true;
    }
}

static void prepare(struct lowering *l, uint32_t logits)
{
    struct importer *im = l->im;
    uint32_t count = im->terms.terms.count;
    l->needed = ARENA_ARRAY(im->arena, bool, count);
    l->values = ARENA_ARRAY(im->arena, uint32_t, count);
    l->heights = ARENA_ARRAY(im->arena, uint32_t, count);
    l->tables = ARENA_ARRAY(im->arena, uint32_t, (size_t)im->frequencies.count + 1);
    memset(l->values, 0xff, count * sizeof *l->values);
    memset(l->tables, 0xff, (im->frequencies.count + 1) * sizeof *l->tables);
    l->embedding = ID_NONE;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t operands[3], used = operands_of(get(l, i), operands);
        for (uint32_t k = 0; k < used; k++)
            if (l->heights[operands[k]] + 1 > l->heights[i])
                l->heights[i] = l->heights[operands[k]] + 1;
    }
    l->needed[logits] = true;
    for (uint32_t i = logits + 1; i-- > 0;)
        if (l->needed[i])
            mark_operands(l, i);
    roles_find(&l->roles, im, logits);
}

static enum status lower_all(struct lowering *l, uint32_t logits)
{
    uint32_t axes[] = {dims_symbol(&l->graph->dims, STR("batch")),
                       dims_symbol(&l->graph->dims, STR("sequence"))};
    build_input(l->graph, "tokens", DTYPE_I32, 2, axes);
    for (uint32_t i = 0; i <= logits; i++)
        if (l->needed[i])
            TRY(lower_term(l, i));
    build_output(l->graph, "logits", l->values[logits]);
    return graph_verify(l->graph, l->trace);
}

static enum status check_logits(struct importer *im, struct trace *trace)
{
    const struct import_value *value = &im->values.items[im->logits];
    if (value->kind != VALUE_ACTIVATION)
        return status_fail(trace, UNSUPPORTED, "the logits do not depend on the tokens");
    const struct term *t = term_get(&im->terms, value->term);
    struct view expected = view_rows(t->size);
    if (t->kind == TERM_TOKENS || !view_equal(&value->view, &expected))
        return status_fail(trace, UNSUPPORTED, "the logits (%s) are not [batch, sequence, vocabulary]",
                           term_kind_name(t->kind));
    return OK;
}

enum status lower_graph(struct graph **out, struct importer *im, struct trace *trace)
{
    TRY(check_logits(im, trace));
    return lower_terms(out, im, im->values.items[im->logits].term, trace);
}

enum status lower_terms(struct graph **out, struct importer *im, uint32_t logits, struct trace *trace)
{
    struct lowering l = {.im = im, .graph = graph_create(), .trace = trace};
    prepare(&l, logits);
    enum status status = lower_all(&l, logits);
    *out = status == OK ? graph_canonicalise(l.graph) : NULL;
    graph_destroy(l.graph);
    return status;
}
