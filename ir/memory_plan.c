/* Planning scratch memory: nodes in order; a result takes the first gap that is large enough, and gives it
 * back after its last reader. Views share the place of what they view, so they prolong its life. */
#include "ir/memory_plan.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct gap {
    uint32_t buffer;
    int64_t offset, size; /* elements */
};

struct planner {
    const struct program_spec *spec;
    const struct graph *graph;
    struct memory_plan *plan;
    struct arena *arena;
    struct trace *trace;
    int64_t alignment, buffer_elements;
    uint32_t *last_use;   /* value -> node index of its last reader (own node when unread) */
    uint32_t *home;       /* value -> value whose storage it shares (views), or itself */
    bool *in_place;       /* value: stored over an input that dies */
    VEC(struct gap) gaps; /* free ranges */
    VEC(int64_t) sizes;   /* elements of each scratch buffer */
};

static const char *describe(struct planner *p, uint32_t value)
{
    const struct value *v = graph_value(p->graph, value);
    if (v->origin == VALUE_INPUT)
        return arena_printf(p->arena, "input \"" STR_FORMAT "\"",
                            STR_ARGUMENT(p->graph->inputs.items[v->source].name));
    if (v->origin == VALUE_TENSOR)
        return arena_printf(p->arena, "weight \"" STR_FORMAT "\"",
                            STR_ARGUMENT(p->graph->tensors.items[v->source].name));
    return arena_printf(p->arena, "%%%" PRIu32 " = %s", value,
                        op_table[p->graph->nodes.items[v->source].op].name);
}

static enum status measure(struct planner *p, uint32_t value)
{
    const struct value *v = graph_value(p->graph, value);
    struct place *place = &p->plan->places[value];
    place->rank = v->rank;
    place->count = 1;
    for (uint32_t i = 0; i < v->rank; i++) {
        place->dims[i] = dims_evaluate(&p->graph->dims, v->axes[i], p->spec->dims, p->spec->dim_count);
        if (place->dims[i] <= 0 || __builtin_mul_overflow(place->count, place->dims[i], &place->count) ||
            place->count > INT64_MAX / 16)
            return status_fail(p->trace, INVALID, "%s: the size of axis %" PRIu32 " is unknown or too large",
                               describe(p, value), i);
    }
    return OK;
}

static const struct node *node_of(const struct planner *p, uint32_t value)
{
    const struct value *v = graph_value(p->graph, value);
    return v->origin == VALUE_NODE ? &p->graph->nodes.items[v->source] : NULL;
}

static void find_uses(struct planner *p)
{
    const struct graph *g = p->graph;
    for (uint32_t v = 0; v < g->values.count; v++) {
        const struct node *node = node_of(p, v);
        p->home[v] = node && (op_table[node->op].flags & OP_VIEW) ? p->home[node->inputs[0]] : v;
        p->last_use[v] = g->values.items[v].origin == VALUE_NODE ? g->values.items[v].source : 0;
    }
    for (uint32_t n = 0; n < g->nodes.count; n++)
        for (uint32_t i = 0; i < g->nodes.items[n].input_count; i++)
            p->last_use[p->home[g->nodes.items[n].inputs[i]]] = n;
    for (uint32_t o = 0; o < g->outputs.count; o++)
        if (p->plan->places[g->outputs.items[o].value].kind == PLACE_NONE)
            p->last_use[p->home[g->outputs.items[o].value]] = UINT32_MAX;
}

/* Bindings of inputs and weights, then of outputs that are results of nodes. */
static enum status place_bound(struct planner *p)
{
    for (uint32_t i = 0; i < p->spec->binding_count; i++) {
        const struct binding *b = &p->spec->bindings[i];
        assert(b->value < p->graph->values.count);
        struct place *place = &p->plan->places[b->value];
        if (place->kind == PLACE_TENSOR && place->tensor != b->tensor)
            return status_fail(p->trace, BROKEN, "%s is bound to two tensors", describe(p, b->value));
        const struct node *node = node_of(p, b->value);
        if (node && (op_table[node->op].flags & OP_VIEW))
            return status_fail(p->trace, BROKEN, "%s is a view and cannot be bound", describe(p, b->value));
        place->kind = PLACE_TENSOR;
        place->tensor = b->tensor;
        place->offset = 0;
    }
    return OK;
}

/* Node `n` writes a tensor that input `value` also lives in: nobody may read the old content afterwards, and
 * the node itself only when it works in place on that operand. */
static enum status check_overwrite(struct planner *p, uint32_t n, uint32_t slot, uint32_t value)
{
    const struct node *node = &p->graph->nodes.items[n];
    bool in_place_ok = (op_table[node->op].flags & OP_IN_PLACE) && slot < node->input_count &&
                       p->home[node->inputs[slot]] == value;
    if (node->op == OP_adamw)
        in_place_ok = (slot == 0 && node->inputs[0] == value) || (slot == 1 && node->inputs[2] == value) ||
                      (slot == 2 && node->inputs[3] == value);
    uint32_t last = p->last_use[value];
    if (last < n || (last == n && in_place_ok))
        return OK;
    bool read_here = false;
    for (uint32_t i = 0; i < node->input_count; i++)
        read_here = read_here || p->home[node->inputs[i]] == value;
    if (last == 0 && !read_here)
        return OK;
    return status_fail(p->trace, INVALID, "%s is read after %%%" PRIu32 " = %s has overwritten it in place",
                       describe(p, value), node->results[slot], op_table[node->op].name);
}

static enum status check_in_place(struct planner *p)
{
    const struct graph *g = p->graph;
    for (uint32_t n = 0; n < g->nodes.count; n++)
        for (uint32_t r = 0; r < g->nodes.items[n].result_count; r++) {
            const struct place *to = &p->plan->places[g->nodes.items[n].results[r]];
            for (uint32_t v = 0; to->kind == PLACE_TENSOR && v < g->values.count; v++) {
                const struct place *from = &p->plan->places[v];
                if (g->values.items[v].origin != VALUE_NODE && from->kind == PLACE_TENSOR &&
                    from->tensor == to->tensor)
                    TRY(check_overwrite(p, n, r, v));
            }
        }
    return OK;
}

static int64_t aligned(const struct planner *p, int64_t count)
{
    return (count + p->alignment - 1) / p->alignment * p->alignment;
}

/* First gap that fits; else the last buffer grows, or a new one begins. */
static void take(struct planner *p, uint32_t value)
{
    struct place *place = &p->plan->places[value];
    int64_t need = aligned(p, place->count);
    place->kind = PLACE_SCRATCH;
    for (uint32_t i = 0; i < p->gaps.count; i++) {
        struct gap *gap = &p->gaps.items[i];
        if (gap->size < need)
            continue;
        place->tensor = gap->buffer;
        place->offset = gap->offset;
        gap->offset += need, gap->size -= need;
        return;
    }
    if (p->sizes.count == 0 || (p->buffer_elements && VEC_LAST(&p->sizes) + need > p->buffer_elements))
        *VEC_PUSH(p->arena, &p->sizes) = 0;
    place->tensor = p->sizes.count - 1;
    place->offset = VEC_LAST(&p->sizes);
    VEC_LAST(&p->sizes) += need;
}

/* Returns the range to the gaps, joined with its neighbours; gaps stay sorted by buffer and offset. */
static void give_back(struct planner *p, uint32_t value)
{
    const struct place *place = &p->plan->places[value];
    struct gap freed = {place->tensor, place->offset, aligned(p, place->count)};
    uint32_t kept = 0, at = 0;
    for (uint32_t i = 0; i < p->gaps.count; i++) {
        struct gap gap = p->gaps.items[i];
        if (gap.size == 0)
            continue;
        if (gap.buffer == freed.buffer && gap.offset + gap.size == freed.offset)
            freed.offset = gap.offset, freed.size += gap.size;
        else if (gap.buffer == freed.buffer && freed.offset + freed.size == gap.offset)
            freed.size += gap.size;
        else
            p->gaps.items[kept++] = gap;
    }
    p->gaps.count = kept;
    while (at < kept &&
           (p->gaps.items[at].buffer < freed.buffer ||
            (p->gaps.items[at].buffer == freed.buffer && p->gaps.items[at].offset < freed.offset)))
        at++;
    (void)VEC_PUSH(p->arena, &p->gaps);
    memmove(&p->gaps.items[at + 1], &p->gaps.items[at], (kept - at) * sizeof *p->gaps.items);
    p->gaps.items[at] = freed;
}

/* A result may lie over input `slot` when the op allows it and that scratch value dies here. */
static bool reuse_input(struct planner *p, uint32_t n, uint32_t slot)
{
    const struct node *node = &p->graph->nodes.items[n];
    if (!(op_table[node->op].flags & OP_IN_PLACE) || slot > 0 || node->op == OP_adamw)
        return false;
    uint32_t input = node->inputs[0];
    const struct place *from = &p->plan->places[input];
    struct place *to = &p->plan->places[node->results[0]];
    for (uint32_t i = 1; i < node->input_count; i++)
        if (p->home[node->inputs[i]] == p->home[input])
            return false;
    if (p->home[input] != input || from->kind != PLACE_SCRATCH || p->last_use[input] != n ||
        from->count != to->count)
        return false;
    to->kind = PLACE_SCRATCH;
    to->tensor = from->tensor;
    to->offset = from->offset;
    p->in_place[input] = true; /* its range now belongs to the result */
    return true;
}

static enum status place_view(struct planner *p, uint32_t n)
{
    const struct node *node = &p->graph->nodes.items[n];
    const struct place *from = &p->plan->places[node->inputs[0]];
    struct place *to = &p->plan->places[node->results[0]];
    int64_t width = to->rank == 2 ? to->dims[1] : 1;
    int64_t start = node_integer(node, ATTRIBUTE_start) * width;
    if (start + to->count > from->count)
        return status_fail(p->trace, INVALID, "%%%" PRIu32 " = %s ends at element %" PRId64 " of %" PRId64,
                           node->results[0], op_table[node->op].name, start + to->count, from->count);
    to->kind = from->kind;
    to->tensor = from->tensor;
    to->offset = from->offset + start;
    return OK;
}

static enum status place_node(struct planner *p, uint32_t n)
{
    const struct node *node = &p->graph->nodes.items[n];
    for (uint32_t i = 0; i < node->input_count; i++)
        if (p->plan->places[node->inputs[i]].kind == PLACE_NONE)
            return status_fail(p->trace, BROKEN, "%s has no tensor bound to it",
                               describe(p, node->inputs[i]));
    if (op_table[node->op].flags & OP_VIEW)
        return place_view(p, n);
    for (uint32_t r = 0; r < node->result_count; r++)
        if (p->plan->places[node->results[r]].kind == PLACE_NONE && !reuse_input(p, n, r))
            take(p, node->results[r]);
    return OK;
}

/* Frees what node n was the last to touch: its inputs' homes and its own unread results. */
static void retire(struct planner *p, uint32_t n)
{
    const struct node *node = &p->graph->nodes.items[n];
    uint32_t touched[NODE_MAX_INPUTS + NODE_MAX_RESULTS], count = 0;
    for (uint32_t i = 0; i < node->input_count; i++)
        touched[count++] = p->home[node->inputs[i]];
    for (uint32_t r = 0; r < node->result_count; r++)
        touched[count++] = p->home[node->results[r]];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = touched[i];
        bool seen = false;
        for (uint32_t j = 0; j < i; j++)
            seen = seen || touched[j] == v;
        if (!seen && p->plan->places[v].kind == PLACE_SCRATCH && p->last_use[v] == n && !p->in_place[v])
            give_back(p, v);
    }
}

enum status memory_plan_make(struct memory_plan *out, struct arena *arena, const struct program_spec *spec,
                             struct memory_limits limits, struct trace *trace)
{
    uint32_t count = spec->graph->values.count;
    *out = (struct memory_plan){.places = ARENA_ARRAY(arena, struct place, count ? count : 1)};
    struct planner p = {.spec = spec, .graph = spec->graph, .plan = out, .arena = arena, .trace = trace};
    p.alignment = limits.alignment ? limits.alignment : 64;
    p.buffer_elements = limits.buffer_elements;
    p.last_use = ARENA_ARRAY(arena, uint32_t, count ? count : 1);
    p.home = ARENA_ARRAY(arena, uint32_t, count ? count : 1);
    p.in_place = ARENA_ARRAY(arena, bool, count ? count : 1);
    TRY(place_bound(&p));
    for (uint32_t v = 0; v < count; v++)
        TRY(measure(&p, v));
    find_uses(&p);
    TRY(check_in_place(&p));
    for (uint32_t n = 0; n < spec->graph->nodes.count; n++) {
        TRY(place_node(&p, n));
        retire(&p, n);
    }
    out->scratch_count = p.sizes.count;
    out->scratch_sizes = p.sizes.items;
    return OK;
}
