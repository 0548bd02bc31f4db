/* A bill from a graph. The axes of a weight are terms over leaves; a leaf is a size that a search varies, or
 * it is constant. So the number of elements is a polynomial in those sizes, whatever the weight is called:
 * [D, (g*r*(f+f))] is hidden * kv_heads * group * 8 when f is 4. */
#include "passes/classes.h"
#include "search/bill.h"
#include <string.h>

enum { NO_AXIS = BILL_AXES, NOWHERE = UINT32_MAX, EVERYWHERE = UINT32_MAX - 1 };

struct walker {
    const struct graph *graph;
    struct arena *arena;
    struct classes classes;
    uint32_t *axis_of;  /* leaf term -> enum bill_axis, or NO_AXIS */
    uint32_t *layer_of; /* node -> layer, or EVERYWHERE: in no branch */
    uint32_t vocabulary[2];
};

/* A product: a term of a polynomial. */
struct product {
    int64_t factor;
    uint8_t powers[BILL_AXES];
};
struct polynomial {
    VEC(struct product) items;
};

static void name_leaf(struct walker *w, const char *name, uint32_t layer, enum bill_axis axis)
{
    const struct prunable *c =
        layer == NOWHERE ? classes_get(&w->classes, name) : classes_get_layer(&w->classes, layer, name);
    if (c)
        w->axis_of[dims_find(&w->graph->dims, c->leaf)] = axis;
}

static void name_leaves(struct walker *w)
{
    uint32_t terms = w->graph->dims.terms.count;
    w->axis_of = ARENA_ARRAY(w->arena, uint32_t, terms + 1);
    for (uint32_t i = 0; i < terms; i++)
        w->axis_of[i] = NO_AXIS;
    name_leaf(w, "hidden", NOWHERE, BILL_HIDDEN);
    for (uint32_t layer = 0; layer < w->classes.shape.layers; layer++) {
        name_leaf(w, "kv_heads", layer, BILL_KV_HEADS);
        name_leaf(w, "heads", layer, BILL_GROUP);
        name_leaf(w, "ffn", layer, BILL_FFN);
    }
    const struct prunable *vocabulary = classes_get(&w->classes, "vocab");
    w->vocabulary[0] = vocabulary ? dims_find(&w->graph->dims, vocabulary->leaf) : DIM_NONE;
    w->vocabulary[1] = vocabulary ? dims_find(&w->graph->dims, vocabulary->leaf_out) : DIM_NONE;
}

static void place_nodes(struct walker *w)
{
    const struct structure *s = &w->classes.structure;
    w->layer_of = ARENA_ARRAY(w->arena, uint32_t, w->graph->nodes.count + 1);
    for (uint32_t n = 0; n < w->graph->nodes.count; n++)
        w->layer_of[n] = EVERYWHERE;
    for (uint32_t i = 0; i < s->branch_count; i++)
        for (uint32_t k = 0; k < s->branches[i].node_count; k++)
            w->layer_of[s->branches[i].nodes[k]] = s->branches[i].layer;
}

/* ---- a term as a polynomial ---- */

static bool is_constant(const struct walker *w, uint32_t term)
{
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(&w->graph->dims, term, leaves);
    for (uint32_t i = 0; i < count; i++)
        if (w->axis_of[leaves[i]] != NO_AXIS)
            return false;
    return true;
}

static struct polynomial constant(struct walker *w, int64_t factor)
{
    struct polynomial p = {0};
    VEC_PUSH(w->arena, &p.items)->factor = factor;
    return p;
}

static struct polynomial multiply(struct walker *w, const struct polynomial *a, const struct polynomial *b)
{
    struct polynomial out = {0};
    for (uint32_t i = 0; i < a->items.count; i++)
        for (uint32_t k = 0; k < b->items.count; k++) {
            struct product *product = VEC_PUSH(w->arena, &out.items);
            *product = a->items.items[i];
            product->factor *= b->items.items[k].factor; /* a divisor of the weight's number of elements */
            for (int axis = 0; axis < BILL_AXES; axis++)
                product->powers[axis] += b->items.items[k].powers[axis];
        }
    return out;
}

static struct polynomial expand(struct walker *w, uint32_t term)
{
    const struct dims *dims = &w->graph->dims;
    if (is_constant(w, term))
        return constant(w, dims_size(dims, term));
    uint32_t parts[DIM_MAX_FACTORS];
    struct polynomial out = constant(w, 1);
    if (dims_is_leaf(dims, term)) {
        out.items.items[0].powers[w->axis_of[dims_find(dims, term)]] = 1;
    } else if (dims->terms.items[dims_find(dims, term)].kind == DIM_PRODUCT) {
        uint32_t count = dims_factors(dims, term, parts);
        for (uint32_t i = 0; i < count; i++) {
            struct polynomial factor = expand(w, parts[i]);
            out = multiply(w, &out, &factor);
        }
    } else {
        uint32_t count = dims_parts(dims, term, parts);
        out.items.count = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct polynomial part = expand(w, parts[i]);
            for (uint32_t k = 0; k < part.items.count; k++)
                *VEC_PUSH(w->arena, &out.items) = part.items.items[k];
        }
    }
    return out;
}

/* ---- a weight ---- */

/* Where a weight is used, and how. */
struct use {
    uint32_t layer;    /* NOWHERE, a layer, or EVERYWHERE */
    uint32_t products; /* matmuls with it, in all layers */
    bool is_table;     /* of constants: nothing that was learned */
};

static struct use find_use(const struct walker *w, uint32_t value)
{
    struct use use = {.layer = NOWHERE};
    for (uint32_t n = 0; n < w->graph->nodes.count; n++) {
        const struct node *node = &w->graph->nodes.items[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] != value)
                continue;
            use.layer = use.layer == NOWHERE || use.layer == w->layer_of[n] ? w->layer_of[n] : EVERYWHERE;
            use.products += i == 1 && (node->op == OP_matmul_nt || node->op == OP_matmul_nn);
            use.is_table |= op_constant_input(node->op) == i;
        }
    }
    return use;
}

static bool has_vocabulary(const struct walker *w, const struct value *value)
{
    uint32_t leaves[DIM_MAX_FACTORS];
    for (uint32_t a = 0; a < value->rank; a++) {
        uint32_t count = dims_leaves(&w->graph->dims, value->axes[a], leaves);
        for (uint32_t i = 0; i < count; i++)
            if (leaves[i] == w->vocabulary[0] || leaves[i] == w->vocabulary[1])
                return true;
    }
    return false;
}

/* Layers are alike, so the first stands for all. */
static void add_weight(struct walker *w, struct bill *bill, uint32_t value)
{
    struct use use = find_use(w, value);
    if (use.is_table || (use.layer != EVERYWHERE && use.layer != NOWHERE && use.layer != 0))
        return;
    const struct value *v = graph_value(w->graph, value);
    struct polynomial count = constant(w, 1);
    for (uint32_t a = 0; a < v->rank; a++) {
        struct polynomial axis = expand(w, v->axes[a]);
        count = multiply(w, &count, &axis);
    }
    for (uint32_t i = 0; i < count.items.count; i++) {
        struct bill_row *row = VEC_PUSH(w->arena, &bill->rows);
        *row = (struct bill_row){.factor = count.items.items[i].factor,
                                 .in_each_layer = use.layer == 0,
                                 .is_embedding = has_vocabulary(w, v),
                                 .is_counted = true,
                                 .products = use.products};
        memcpy(row->powers, count.items.items[i].powers, sizeof row->powers);
    }
}

static enum status read_shape(struct walker *w, struct bill *bill, struct trace *trace)
{
    const struct shape *s = &w->classes.shape;
    if (s->layers == 0 || w->classes.structure.period != 1)
        return status_fail(trace, UNSUPPORTED,
                           "the %u layers of the model are not alike, so the size of what is left depends on "
                           "which are kept; search needs layers that are all the same",
                           s->layers);
    if (s->heads[0] == 0 || s->kv_heads[0] == 0 || s->ffn[0] == 0)
        return status_fail(trace, UNSUPPORTED,
                           "search needs layers of attention with an MLP; in this model a layer lacks one");
    bill->base = (struct sizes){{s->layers, s->hidden, s->heads[0], s->kv_heads[0], s->ffn[0]}};
    bill->head_dim = bill->value_dim = s->head_dim[0];
    const struct branch *attention = &w->classes.structure.branches[w->classes.structure.layers[0].attention];
    const struct node *node = &w->graph->nodes.items[attention->attention];
    const struct value *mixed = graph_value(w->graph, node->results[0]);
    bill->value_dim = dims_size(&w->graph->dims, mixed->axes[mixed->rank - 1]) / s->heads[0];
    return OK;
}

enum status bill_of_graph(struct bill *out, struct arena *arena, const struct graph *graph,
                          struct trace *trace)
{
    struct walker w = {.graph = graph, .arena = arena};
    *out = (struct bill){0};
    TRY(classes_find(&w.classes, arena, graph, trace));
    TRY(read_shape(&w, out, trace));
    name_leaves(&w);
    place_nodes(&w);
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        add_weight(&w, out, graph->tensors.items[i].value);
    return OK;
}
