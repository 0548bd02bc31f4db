/* Reindexing: check the keep lists, make the smaller leaves, gather the weights' views, copy the rest. */
#include "passes/reindex.h"
#include "ir/build.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

struct indexer {
    const struct dims *dims;
    const struct keep *keeps; /* leaves are representatives */
    uint32_t keep_count;
    struct arena *arena;
    struct { /* factors that the walk is inside of, with their position before pruning */
        uint32_t leaf, position;
    } context[DIM_MAX_FACTORS];
    uint32_t depth;
};

struct positions {
    VEC(uint32_t) items;
};

static const struct keep *find_keep(const struct indexer *x, uint32_t leaf)
{
    for (uint32_t i = 0; i < x->keep_count; i++)
        if (x->keeps[i].leaf == leaf)
            return &x->keeps[i];
    return NULL;
}

static uint32_t context_position(const struct indexer *x, uint32_t leaf)
{
    for (uint32_t i = x->depth; i-- > 0;)
        if (x->context[i].leaf == leaf)
            return x->context[i].position;
    BUG("a leaf with lists per parent appears without its parent");
}

static void gather_term(struct indexer *x, uint32_t term, struct positions *out);

/* Positions of factors[at..count) under the context, added to `base` positions of the factors before. */
static void gather_factors(struct indexer *x, const uint32_t *factors, uint32_t count, uint32_t base,
                           struct positions *out)
{
    if (count == 0) {
        *VEC_PUSH(x->arena, &out->items) = base;
        return;
    }
    struct positions here = {0};
    gather_term(x, factors[0], &here);
    uint32_t size = (uint32_t)dims_size(x->dims, factors[0]);
    bool is_leaf = dims_is_leaf(x->dims, factors[0]);
    for (uint32_t i = 0; i < here.items.count; i++) {
        if (is_leaf) {
            x->context[x->depth].leaf = factors[0];
            x->context[x->depth++].position = here.items.items[i];
        }
        gather_factors(x, factors + 1, count - 1, base * size + here.items.items[i], out);
        x->depth -= is_leaf;
    }
}

/* The kept positions of a term, in their new order. */
static void gather_term(struct indexer *x, uint32_t term, struct positions *out)
{
    uint32_t id = dims_find(x->dims, term), items[DIM_MAX_FACTORS];
    enum dim_kind kind = x->dims->terms.items[id].kind;
    if (kind == DIM_LEAF) {
        const struct keep *keep = find_keep(x, id);
        uint32_t count = keep ? keep->count : (uint32_t)dims_size(x->dims, id);
        const uint32_t *list = keep ? keep->lists : NULL;
        if (keep && keep->parent != DIM_NONE)
            list += (size_t)context_position(x, keep->parent) * count;
        for (uint32_t i = 0; i < count; i++)
            *VEC_PUSH(x->arena, &out->items) = list ? list[i] : i;
        return;
    }
    if (kind == DIM_PRODUCT) {
        uint32_t count = dims_factors(x->dims, id, items);
        gather_factors(x, items, count, 0, out);
        return;
    }
    uint32_t count = dims_parts(x->dims, id, items), offset = 0;
    for (uint32_t p = 0; p < count; p++) {
        uint32_t first = out->items.count;
        gather_term(x, items[p], out);
        for (uint32_t i = first; i < out->items.count; i++)
            out->items.items[i] += offset;
        offset += (uint32_t)dims_size(x->dims, items[p]);
    }
}

void reindex_positions(const uint32_t **positions, uint32_t *kept, struct arena *arena,
                       const struct graph *graph, const struct keep *keeps, uint32_t count, uint32_t term)
{
    struct keep *normal = ARENA_ARRAY(arena, struct keep, count + 1);
    struct indexer x = {.dims = &graph->dims, .keeps = normal, .keep_count = count, .arena = arena};
    for (uint32_t i = 0; i < count; i++) {
        normal[i] = keeps[i];
        normal[i].leaf = dims_find(&graph->dims, keeps[i].leaf);
        normal[i].parent = keeps[i].parent == DIM_NONE ? DIM_NONE : dims_find(&graph->dims, keeps[i].parent);
    }
    struct positions found = {0};
    gather_term(&x, term, &found);
    *positions = found.items.items;
    *kept = found.items.count;
}

/* ---- checking ---- */

/* Every mention of `leaf` below `term` has `parent` as a factor further out. */
static bool is_inside(const struct dims *dims, uint32_t term, uint32_t leaf, uint32_t parent, bool inside)
{
    uint32_t id = dims_find(dims, term), items[DIM_MAX_FACTORS];
    enum dim_kind kind = dims->terms.items[id].kind;
    if (kind == DIM_LEAF)
        return id != leaf || inside;
    uint32_t count = kind == DIM_PRODUCT ? dims_factors(dims, id, items) : dims_parts(dims, id, items);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_inside(dims, items[i], leaf, parent, inside))
            return false;
        inside = inside || (kind == DIM_PRODUCT && items[i] == parent);
    }
    return true;
}

bool reindex_allows_parent(const struct graph *graph, const struct leaf_index *values, uint32_t leaf,
                           uint32_t parent)
{
    uint32_t l = dims_find(&graph->dims, leaf), p = dims_find(&graph->dims, parent);
    const uint32_t *items;
    uint32_t count = leaf_index_get(values, l, &items);
    for (uint32_t i = 0; i < count; i++) {
        const struct value *v = graph_value(graph, items[i]);
        for (uint32_t a = 0; a < v->rank; a++)
            if (!is_inside(&graph->dims, v->axes[a], l, p, false))
                return false;
    }
    return true;
}

static enum status check_lists(const struct dims *dims, const struct keep *keep, struct trace *trace)
{
    struct arena scratch = {0};
    int64_t size = dims_size(dims, keep->leaf);
    uint32_t lists = keep->parent == DIM_NONE ? 1 : (uint32_t)dims_size(dims, keep->parent);
    uint32_t *seen = ARENA_ARRAY(&scratch, uint32_t, (size_t)size);
    enum status status = OK;
    for (uint32_t i = 0; i < lists * keep->count && status == OK; i++) {
        uint32_t position = keep->lists[i], list = i / keep->count;
        if (position >= size)
            status = status_fail(trace, INVALID,
                                 "position %" PRIu32 " of an axis of size %" PRId64 " does not exist",
                                 position, size);
        else if (seen[position] == list + 1)
            status = status_fail(trace, INVALID, "position %" PRIu32 " is in the list of kept ones twice",
                                 position);
        else
            seen[position] = list + 1;
    }
    arena_release(&scratch);
    return status;
}

static enum status check_keep(const struct graph *graph, const struct leaf_index *values,
                              const struct keep *keep, struct trace *trace)
{
    const struct dims *dims = &graph->dims;
    const struct dim_term *leaf = &dims->terms.items[keep->leaf];
    if (leaf->kind != DIM_LEAF || leaf->size == DIM_UNKNOWN)
        return status_fail(trace, INVALID, "the axis to be reindexed is %s",
                           leaf->kind == DIM_LEAF ? "dynamic" : "made of several leaves");
    if (leaf->size > UINT32_MAX)
        return status_fail(trace, UNSUPPORTED, "an axis of size %" PRId64 " is too long to be reindexed",
                           leaf->size);
    if (leaf->facts & FACT_FROZEN)
        return status_fail(trace, UNSUPPORTED, "an axis of size %" PRId64 " cannot be pruned: " STR_FORMAT,
                           leaf->size, STR_ARGUMENT(leaf->reason));
    if (keep->count == 0)
        return status_fail(trace, INVALID, "nothing of an axis of size %" PRId64 " would be left",
                           leaf->size);
    if (keep->parent != DIM_NONE && (!dims_is_leaf(dims, keep->parent) ||
                                     !reindex_allows_parent(graph, values, keep->leaf, keep->parent)))
        return status_fail(trace, INVALID,
                           "an axis of size %" PRId64 " cannot have a list for each position of one of size "
                           "%" PRId64 ": some axis has the first without the second",
                           leaf->size, dims_size(dims, keep->parent));
    return check_lists(dims, keep, trace);
}

/* ---- rewriting ---- */

static bool mentions_kept(const struct indexer *x, uint32_t term)
{
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(x->dims, term, leaves);
    for (uint32_t i = 0; i < count; i++)
        if (find_keep(x, leaves[i]))
            return true;
    return false;
}

static bool is_identity(const uint32_t *positions, uint32_t count, int64_t size)
{
    for (uint32_t i = 0; i < count; i++)
        if (positions[i] != i)
            return false;
    return (int64_t)count == size;
}

static void reindex_tensor(struct indexer *x, struct graph_copy *copy, uint32_t index)
{
    const struct tensor *tensor = &copy->from->tensors.items[index];
    const struct value *v = graph_value(copy->from, tensor->value);
    struct tensor_view view = tensor->view;
    uint32_t axes[VALUE_MAX_RANK];
    bool changed = false;
    for (uint32_t a = 0; a < v->rank; a++) {
        axes[a] = graph_copy_term(copy, v->axes[a]);
        if (!mentions_kept(x, v->axes[a]))
            continue;
        struct positions kept = {0};
        gather_term(x, v->axes[a], &kept);
        if (is_identity(kept.items.items, kept.items.count, view.dims[a]))
            continue;
        view = tensor_view_take(&view, x->arena, a, kept.items.items, kept.items.count);
        changed = true;
    }
    copy->values[tensor->value] = build_tensor(copy->to, tensor->name, &view, axes);
    VEC_LAST(&copy->to->tensors).id = tensor->id;
    VEC_LAST(&copy->to->tensors).has_id = tensor->has_id && !changed;
}

static enum status rewrite(struct indexer *x, struct graph *to, const struct graph *graph,
                           struct trace *trace)
{
    struct graph_copy copy = graph_copy_begin(to, graph);
    for (uint32_t i = 0; i < x->keep_count; i++)
        copy.terms[x->keeps[i].leaf] = dims_leaf(&to->dims, x->keeps[i].count);
    for (uint32_t i = 0; i < graph->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        reindex_tensor(x, &copy, i);
    TRY_WITH(trace, graph_copy_all(&copy, trace), "while rebuilding the graph with smaller axes");
    graph_copy_outputs(&copy);
    graph_copy_description(to, graph);
    return OK;
}

enum status reindex(struct graph **out, const struct graph *graph, const struct keep *keeps, uint32_t count,
                    struct trace *trace)
{
    struct arena scratch = {0};
    struct keep *normal = ARENA_ARRAY(&scratch, struct keep, count + 1);
    struct indexer x = {.dims = &graph->dims, .keeps = normal, .arena = &scratch};
    struct leaf_index values = leaf_index_values(&scratch, graph);
    struct graph *to = NULL;
    enum status status = OK;
    for (uint32_t i = 0; i < count && status == OK; i++) {
        struct keep keep = keeps[i];
        assert(keep.leaf < graph->dims.terms.count);
        keep.leaf = dims_find(&graph->dims, keep.leaf);
        keep.parent = keep.parent == DIM_NONE ? DIM_NONE : dims_find(&graph->dims, keep.parent);
        status = find_keep(&x, keep.leaf) ? status_fail(trace, INVALID, "an axis is reindexed twice")
                                          : check_keep(graph, &values, &keep, trace);
        normal[x.keep_count++] = keep;
    }
    if (status == OK) {
        to = graph_create();
        status = rewrite(&x, to, graph, trace);
    }
    arena_release(&scratch);
    if (status == OK)
        *out = to;
    else
        graph_destroy(to);
    return status;
}
