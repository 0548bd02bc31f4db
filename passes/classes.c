/* Naming leaves by what the ops do with them, and saying what pruning each of them means. */
#include "passes/classes.h"
#include "passes/leaf_index.h"
#include "passes/reindex.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct finder {
    const struct graph *graph;
    struct arena *arena;
    struct structure *structure;
    struct shape *shape;
    VEC(struct prunable) items;
    bool *claimed;            /* by term: the leaf has a name */
    uint32_t *pair_layers;    /* by term: one more than the layer whose heads rotate it, SEVERAL, or 0 */
    struct leaf_index values; /* that mention a leaf */
    struct leaf_index nodes;  /* that read such values; made when the first leaf is refused */
};

static const uint32_t SEVERAL = UINT32_MAX;

const char *exactness_name(enum exactness exactness)
{
    static const char *const names[] = {"exact", "renormalising", "interface", "refused"};
    return names[exactness];
}

static uint32_t axis_of(const struct graph *graph, uint32_t value, uint32_t from_last)
{
    const struct value *v = graph_value(graph, value);
    return dims_find(&graph->dims, v->axes[v->rank - 1 - from_last]);
}

static bool term_mentions(const struct dims *dims, uint32_t term, uint32_t leaf)
{
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(dims, term, leaves);
    for (uint32_t i = 0; i < count; i++)
        if (leaves[i] == leaf)
            return true;
    return false;
}

static bool value_mentions(const struct graph *graph, uint32_t value, uint32_t leaf)
{
    const struct value *v = graph_value(graph, value);
    for (uint32_t a = 0; a < v->rank; a++)
        if (term_mentions(&graph->dims, v->axes[a], leaf))
            return true;
    return false;
}

/* ---- what pruning means ---- */

static bool is_interface(const struct graph *graph, uint32_t leaf)
{
    for (uint32_t i = 0; i < graph->inputs.count; i++)
        if (value_mentions(graph, graph->inputs.items[i].value, leaf))
            return true;
    for (uint32_t i = 0; i < graph->outputs.count; i++)
        if (value_mentions(graph, graph->outputs.items[i].value, leaf))
            return true;
    return graph->dims.terms.items[leaf].facts & FACT_DOMAIN;
}

static const char *describe_facts(struct finder *f, uint32_t leaf)
{
    static const struct {
        enum dim_fact fact;
        const char *name;
    } names[] = {{FACT_CONTRACTED, "contracted"}, {FACT_NORMALISER, "normaliser"},
                 {FACT_DOMAIN, "index domain"},   {FACT_PAIRED, "paired"},
                 {FACT_POSITION, "position"},     {FACT_FROZEN, "frozen"}};
    const char *text = "";
    uint32_t facts = f->graph->dims.terms.items[leaf].facts;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (facts & names[i].fact)
            text = arena_printf(f->arena, "%s%s%s", text, *text ? ", " : "", names[i].name);
    if (is_interface(f->graph, leaf))
        text = arena_printf(f->arena, "%s%sinterface", text, *text ? ", " : "");
    return text;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* What the index has for any of the leaves, ascending, each once; how many. */
static uint32_t find_any(const struct leaf_index *index, struct arena *arena, const uint32_t *leaves,
                         uint32_t count, uint32_t **out)
{
    VEC(uint32_t) all = {0};
    uint32_t kept = 0;
    for (uint32_t l = 0; l < count; l++) {
        const uint32_t *items;
        uint32_t found = leaf_index_get(index, leaves[l], &items);
        for (uint32_t i = 0; i < found; i++)
            *VEC_PUSH(arena, &all) = items[i];
    }
    if (count > 1 && all.count > 0)
        qsort(all.items, all.count, sizeof *all.items, compare_numbers);
    for (uint32_t i = 0; i < all.count; i++)
        if (i == 0 || all.items[i] != all.items[kept - 1])
            all.items[kept++] = all.items[i];
    *out = all.items;
    return kept;
}

/* "; seen by embed (tok), matmul_nt (q), ... 7 more" */
static const char *describe_path(struct finder *f, uint32_t term)
{
    enum { MOST = 6 };
    struct builder b = {0};
    struct arena scratch = {0};
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(&f->graph->dims, term, leaves), *seen;
    if (!f->nodes.starts)
        f->nodes = leaf_index_nodes(f->arena, f->graph);
    count = find_any(&f->nodes, &scratch, leaves, count, &seen);
    for (uint32_t i = 0; i < count && i < MOST; i++) {
        const struct node *node = &f->graph->nodes.items[seen[i]];
        builder_printf(&b, "%s%s", i == 0 ? "; seen by " : ", ", op_table[node->op].name);
        if (node->origin.length > 0)
            builder_printf(&b, " (" STR_FORMAT ")", STR_ARGUMENT(node->origin));
    }
    if (count > MOST)
        builder_printf(&b, " and %" PRIu32 " more", count - MOST);
    const char *text = arena_copy_string(f->arena, builder_text(&b), b.length);
    builder_release(&b);
    arena_release(&scratch);
    return text;
}

static void judge(struct finder *f, struct prunable *item)
{
    const struct dims *dims = &f->graph->dims;
    const char *why = "";
    if (!dims_is_leaf(dims, item->leaf) || !dims_is_leaf(dims, item->leaf_out)) {
        struct builder b = {0};
        dims_print(dims, item->leaf, &b);
        why = arena_printf(f->arena, "its axis is made of several leaves, %s", builder_text(&b));
        builder_release(&b);
    } else {
        const struct dim_term *leaf = &dims->terms.items[item->leaf],
                              *leaf_out = &dims->terms.items[item->leaf_out];
        uint32_t facts = leaf->facts | leaf_out->facts;
        if (facts & FACT_FROZEN) {
            const struct str *reason = leaf->facts & FACT_FROZEN ? &leaf->reason : &leaf_out->reason;
            why = arena_printf(f->arena, "frozen: " STR_FORMAT, STR_ARGUMENT(*reason));
        } else if (facts & FACT_POSITION) {
            why = "positions of a sequence index it, so its length is how far the model reads";
        } else if (is_interface(f->graph, item->leaf) || is_interface(f->graph, item->leaf_out)) {
            item->exactness = INTERFACE;
        } else if (facts & FACT_NORMALISER) {
            item->exactness = RENORMALISES;
        } else if (facts & FACT_CONTRACTED) {
            item->exactness = EXACT;
        } else {
            why = "nothing sums over it, so zeroing does not stand for removing";
        }
        item->facts = describe_facts(f, item->leaf);
    }
    item->reason = *why ? arena_printf(f->arena, "%s%s", why, describe_path(f, item->leaf)) : "";
    if (*why)
        item->exactness = REFUSED;
}

static int compare_carriers(const void *a, const void *b)
{
    const struct carrier *x = a, *y = b;
    return x->tensor != y->tensor ? (x->tensor < y->tensor ? -1 : 1)
                                  : (x->axis < y->axis ? -1 : x->axis > y->axis);
}

static void find_carriers(struct finder *f, struct prunable *item)
{
    VEC(struct carrier) carriers = {0};
    struct arena scratch = {0};
    const struct dims *dims = &f->graph->dims;
    uint32_t leaves[DIM_MAX_FACTORS + 1], count = dims_leaves(dims, item->leaf, leaves), *values;
    if (item->leaf_out != item->leaf)
        leaves[count++] = item->leaf_out;
    uint32_t found = find_any(&f->values, &scratch, leaves, count, &values);
    for (uint32_t i = 0; i < found; i++) {
        const struct value *v = graph_value(f->graph, values[i]);
        for (uint32_t a = 0; v->origin == VALUE_TENSOR && a < v->rank; a++) {
            bool carries = false;
            for (uint32_t l = 0; l < count && !carries; l++)
                carries = term_mentions(dims, v->axes[a], leaves[l]);
            if (carries)
                *VEC_PUSH(f->arena, &carriers) = (struct carrier){v->source, a};
        }
    }
    if (carriers.count > 0)
        qsort(carriers.items, carriers.count, sizeof *carriers.items, compare_carriers);
    item->carriers = carriers.items;
    item->carrier_count = carriers.count;
    arena_release(&scratch);
}

/* ---- naming ---- */

static void add_pair(struct finder *f, const char *name, uint32_t layer, uint32_t leaf, uint32_t leaf_out,
                     uint32_t parent)
{
    const struct dims *dims = &f->graph->dims;
    leaf = dims_find(dims, leaf);
    leaf_out = dims_find(dims, leaf_out);
    if (dims_size(dims, leaf) == 1 || f->claimed[leaf])
        return;
    struct prunable item = {.name = name,
                            .leaf = leaf,
                            .leaf_out = leaf_out,
                            .parent = DIM_NONE,
                            .size = dims_size(dims, leaf),
                            .layer = layer,
                            .facts = ""};
    f->claimed[leaf] = f->claimed[leaf_out] = true;
    if (parent != DIM_NONE && dims_is_leaf(dims, parent) && dims_is_leaf(dims, leaf) &&
        reindex_allows_parent(f->graph, &f->values, leaf, parent))
        item.parent = dims_find(dims, parent);
    judge(f, &item);
    find_carriers(f, &item);
    *VEC_PUSH(f->arena, &f->items) = item;
}

static void add_layer_leaf(struct finder *f, uint32_t layer, const char *role, uint32_t leaf, uint32_t parent)
{
    if (leaf != DIM_NONE)
        add_pair(f, arena_printf(f->arena, "layers.%" PRIu32 ".%s", layer, role), layer, leaf, leaf, parent);
}

/* The leaves of attention's rule, `b s (g*r*h), b s (g*h), b s (g*e) -> b s (g*r*e), b s (g*r) 2`, read off
 * the axes by size: factors of size 1 are not in a product. DIM_NONE where there is none of its own. */
struct attention_leaves {
    uint32_t g, r, h, e;
};

/* Factors of `term` after those whose sizes multiply to `size`; *head is the one in front, if it is one. */
static uint32_t strip(const struct dims *dims, uint32_t term, int64_t size, uint32_t *head,
                      uint32_t rest[DIM_MAX_FACTORS])
{
    uint32_t factors[DIM_MAX_FACTORS], count = dims_factors(dims, term, factors), at = 0;
    int64_t product = 1;
    while (at < count && product < size)
        product *= dims_size(dims, factors[at++]);
    if (head)
        *head = at == 1 ? factors[0] : DIM_NONE;
    for (uint32_t i = at; i < count; i++)
        rest[i - at] = factors[i];
    return count - at;
}

static struct attention_leaves read_attention(const struct graph *graph, const struct node *node)
{
    const struct dims *dims = &graph->dims;
    struct attention_leaves l = {DIM_NONE, DIM_NONE, DIM_NONE, DIM_NONE};
    uint32_t rest[DIM_MAX_FACTORS], g;
    int64_t groups = node_integer(node, ATTRIBUTE_kv_heads);
    if (strip(dims, axis_of(graph, node->inputs[1], 0), groups, &l.g, rest) == 1)
        l.h = rest[0];
    if (strip(dims, axis_of(graph, node->inputs[2], 0), groups, &g, rest) == 1)
        l.e = rest[0];
    if (strip(dims, axis_of(graph, node->results[1], 1), groups, &g, rest) == 1)
        l.r = rest[0];
    return l;
}

/* (f+f) or (f+f+n): f, and whether several layers share it does not matter here. *rest is n or DIM_NONE. */
static uint32_t rotary_leaf(const struct dims *dims, uint32_t h, uint32_t *rest)
{
    uint32_t parts[DIM_MAX_FACTORS], count = h == DIM_NONE ? 0 : dims_parts(dims, h, parts);
    *rest = count == 3 ? dims_find(dims, parts[2]) : DIM_NONE;
    if (count < 2 || count > 3 || dims_find(dims, parts[0]) != dims_find(dims, parts[1]))
        return DIM_NONE;
    return dims_find(dims, parts[0]);
}

/* Which layers' heads rotate each leaf. */
static void find_pair_layers(struct finder *f)
{
    for (uint32_t b = 0; b < f->structure->branch_count; b++) {
        const struct branch *branch = &f->structure->branches[b];
        if (branch->attention == ID_NONE)
            continue;
        uint32_t h = read_attention(f->graph, &f->graph->nodes.items[branch->attention]).h, rest;
        uint32_t leaf = rotary_leaf(&f->graph->dims, h, &rest), layer = branch->layer + 1;
        if (leaf != DIM_NONE)
            f->pair_layers[leaf] =
                f->pair_layers[leaf] == 0 || f->pair_layers[leaf] == layer ? layer : SEVERAL;
    }
}

static void add_attention(struct finder *f, uint32_t layer, const struct node *node, int64_t *sizes[3])
{
    struct attention_leaves l = read_attention(f->graph, node);
    sizes[0][layer] = node_integer(node, ATTRIBUTE_heads);
    sizes[1][layer] = node_integer(node, ATTRIBUTE_kv_heads);
    sizes[2][layer] = dims_size(&f->graph->dims, axis_of(f->graph, node->inputs[0], 0)) / sizes[0][layer];
    add_layer_leaf(f, layer, "kv_heads", l.g, DIM_NONE);
    add_layer_leaf(f, layer, "heads", l.r, l.g);
    add_layer_leaf(f, layer, "value_size", l.e, l.g);
    uint32_t rest, pairs = rotary_leaf(&f->graph->dims, l.h, &rest);
    if (pairs != DIM_NONE)
        add_layer_leaf(f, layer, "head_rest", rest, l.g);
    if (pairs == DIM_NONE)
        add_layer_leaf(f, layer, "head_size", l.h, l.g);
    else if (f->structure->layer_count == 1 || f->pair_layers[pairs] == SEVERAL)
        add_pair(f, "head_pairs", ID_NONE, pairs, pairs, DIM_NONE);
    else
        add_layer_leaf(f, layer, "head_pairs", pairs, DIM_NONE);
}

/* What the matmul contracts that brings a branch back to the stream, when attention did not make it. */
static uint32_t find_ffn(const struct finder *f, const struct branch *branch)
{
    const struct graph *g = f->graph;
    for (uint32_t n = branch->node_count; n-- > 0;) {
        const struct node *node = &g->nodes.items[branch->nodes[n]];
        if (node->op != OP_matmul_nt && node->op != OP_matmul_nn)
            continue;
        uint32_t inner = axis_of(g, node->inputs[0], 0);
        if (axis_of(g, node->results[0], 0) == f->structure->hidden && inner != f->structure->hidden &&
            dims_is_leaf(&g->dims, inner) && !f->claimed[inner])
            return inner;
    }
    return DIM_NONE;
}

static void add_branches(struct finder *f)
{
    uint32_t layers = f->structure->layer_count;
    int64_t *sizes[3], *ffn = ARENA_ARRAY(f->arena, int64_t, layers + 1);
    for (int i = 0; i < 3; i++)
        sizes[i] = ARENA_ARRAY(f->arena, int64_t, layers + 1);
    find_pair_layers(f);
    for (uint32_t b = 0; b < f->structure->branch_count; b++) {
        const struct branch *branch = &f->structure->branches[b];
        if (branch->attention != ID_NONE)
            add_attention(f, branch->layer, &f->graph->nodes.items[branch->attention], sizes);
        uint32_t leaf = find_ffn(f, branch);
        if (leaf == DIM_NONE)
            continue;
        ffn[branch->layer] = dims_size(&f->graph->dims, leaf);
        add_layer_leaf(f, branch->layer, "ffn", leaf, DIM_NONE);
    }
    f->shape->layers = layers;
    f->shape->heads = sizes[0];
    f->shape->kv_heads = sizes[1];
    f->shape->head_dim = sizes[2];
    f->shape->ffn = ffn;
}

/* Static leaves of weights that no role explains. */
static void add_others(struct finder *f)
{
    uint32_t number = 0, leaves[DIM_MAX_FACTORS];
    for (uint32_t t = 0; t < f->graph->tensors.count; t++) {
        const struct value *v = graph_value(f->graph, f->graph->tensors.items[t].value);
        for (uint32_t a = 0; a < v->rank; a++) {
            uint32_t count = dims_leaves(&f->graph->dims, v->axes[a], leaves);
            for (uint32_t l = 0; l < count; l++) {
                if (dims_size(&f->graph->dims, leaves[l]) == 1 || f->claimed[leaves[l]])
                    continue;
                bool is_position = f->graph->dims.terms.items[leaves[l]].facts & FACT_POSITION;
                const char *name =
                    is_position ? "positions" : arena_printf(f->arena, "leaf.%" PRIu32, number++);
                add_pair(f, name, ID_NONE, leaves[l], leaves[l], DIM_NONE);
            }
        }
    }
}

static bool reads_value(const struct graph *graph, uint32_t result, uint32_t value)
{
    const struct value *v = graph_value(graph, result);
    for (uint32_t i = 0; v->origin == VALUE_NODE && i < graph->nodes.items[v->source].input_count; i++)
        if (graph->nodes.items[v->source].inputs[i] == value)
            return true;
    return false;
}

enum status classes_find(struct classes *out, struct arena *arena, const struct graph *graph,
                         struct trace *trace)
{
    *out = (struct classes){0};
    TRY(structure_find(&out->structure, arena, graph, trace));
    uint32_t logits = graph_find_output(graph, "logits");
    if (logits == ID_NONE || graph_value(graph, logits)->rank == 0)
        return status_fail(trace, UNSUPPORTED, "the graph has no output \"logits\"");
    uint32_t terms = graph->dims.terms.count;
    struct finder f = {.graph = graph,
                       .arena = arena,
                       .structure = &out->structure,
                       .shape = &out->shape,
                       .claimed = ARENA_ARRAY(arena, bool, terms),
                       .pair_layers = ARENA_ARRAY(arena, uint32_t, terms),
                       .values = leaf_index_values(arena, graph)};
    const struct node *embed = &graph->nodes.items[out->structure.embed];
    uint32_t in = axis_of(graph, embed->inputs[0], 1), last = axis_of(graph, logits, 0);
    out->shape.hidden = dims_size(&graph->dims, out->structure.hidden);
    out->shape.vocab = dims_size(&graph->dims, in);
    out->shape.tied = reads_value(graph, logits, embed->inputs[0]);
    out->shape.parameters = graph_parameters(graph);
    add_pair(&f, "hidden", ID_NONE, out->structure.hidden, out->structure.hidden, DIM_NONE);
    add_pair(&f, "vocab", ID_NONE, in, last, DIM_NONE);
    add_branches(&f);
    add_others(&f);
    out->items = f.items.items;
    out->count = f.items.count;
    return OK;
}

const struct prunable *classes_get(const struct classes *classes, const char *name)
{
    for (uint32_t i = 0; i < classes->count; i++)
        if (strcmp(classes->items[i].name, name) == 0)
            return &classes->items[i];
    return NULL;
}

const struct prunable *classes_get_layer(const struct classes *classes, uint32_t layer, const char *role)
{
    for (uint32_t i = 0; i < classes->count; i++) {
        const char *dot = strrchr(classes->items[i].name, '.');
        if (classes->items[i].layer == layer && dot && strcmp(dot + 1, role) == 0)
            return &classes->items[i];
    }
    return NULL;
}

bool shape_is_uniform(const int64_t *sizes, uint32_t layers, int64_t *size)
{
    *size = 0;
    for (uint32_t i = 0; i < layers; i++) {
        if (sizes[i] == 0)
            continue;
        if (*size != 0 && sizes[i] != *size)
            return false;
        *size = sizes[i];
    }
    return true;
}
