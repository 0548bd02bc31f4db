/* Planning scratch memory: nodes in order; a result takes the first gap that is large enough, and gives it
 * back after its last reader. Views share the place of what they view, so they prolong its life. A sweep is
 * one step: what it reads and what is read after it lives through all of it, and the rest is planned apart,
 * for one item. So is a chain, within which results may only lie exactly over what nobody reads any more, and
 * that of a tail over nothing that the node before it reads. */
#include "ir/memory_plan.h"
#include "base/log.h"
#include "ir/schedule.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct gap {
    uint32_t buffer;
    int64_t offset, size; /* elements */
};

/* Ranges of some buffers. */
struct pool {
    VEC(struct gap) gaps;    /* free, by buffer and offset */
    VEC(int64_t) sizes;      /* elements of each buffer */
    int64_t buffer_elements; /* most, unless one value has more; 0: no limit */
    int64_t live, most;      /* elements that are not in gaps: now, and at most so far */
};

struct planner {
    const struct program_spec *spec;
    const struct graph *graph;
    struct memory_plan *plan;
    struct arena *arena;
    struct trace *trace;
    const struct schedule *schedule; /* or NULL */
    int64_t alignment;
    uint32_t *last_use;         /* value -> node index of its last reader (own node when unread) */
    uint32_t *home;             /* value -> value whose storage it shares (views), or itself */
    bool *gone;                 /* value: its range belongs to a result stored over it, or was given back */
    struct pool scratch, local; /* local: of the sweep being planned */
    const struct sweep *sweep;  /* that; NULL between sweeps */
    const struct chain *chain;  /* the one being planned, or the next; NULL after the last */
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

/* Elements that a value takes of its pool. */
static int64_t room_of(const struct planner *p, const struct place *place)
{
    int64_t count = place->kind == PLACE_LOCAL ? place->count / p->sweep->count : place->count;
    return (count + p->alignment - 1) / p->alignment * p->alignment;
}

/* First gap that fits; else the last buffer grows, or a new one begins. */
static void take(struct planner *p, struct pool *pool, struct place *place)
{
    int64_t need = room_of(p, place);
    pool->live += need;
    pool->most = pool->live > pool->most ? pool->live : pool->most;
    for (uint32_t i = 0; i < pool->gaps.count; i++) {
        struct gap *gap = &pool->gaps.items[i];
        if (gap->size < need)
            continue;
        place->tensor = gap->buffer;
        place->offset = gap->offset;
        gap->offset += need, gap->size -= need;
        return;
    }
    if (pool->sizes.count == 0 ||
        (pool->buffer_elements && VEC_LAST(&pool->sizes) + need > pool->buffer_elements))
        *VEC_PUSH(p->arena, &pool->sizes) = 0;
    place->tensor = pool->sizes.count - 1;
    place->offset = VEC_LAST(&pool->sizes);
    VEC_LAST(&pool->sizes) += need;
}

/* Returns the range to the gaps, joined with its neighbours; gaps stay sorted by buffer and offset. */
static void give_back(struct planner *p, struct pool *pool, const struct place *place)
{
    struct gap freed = {place->tensor, place->offset, room_of(p, place)};
    uint32_t kept = 0, at = 0;
    pool->live -= freed.size;
    for (uint32_t i = 0; i < pool->gaps.count; i++) {
        struct gap gap = pool->gaps.items[i];
        if (gap.size == 0)
            continue;
        if (gap.buffer == freed.buffer && gap.offset + gap.size == freed.offset)
            freed.offset = gap.offset, freed.size += gap.size;
        else if (gap.buffer == freed.buffer && freed.offset + freed.size == gap.offset)
            freed.size += gap.size;
        else
            pool->gaps.items[kept++] = gap;
    }
    pool->gaps.count = kept;
    struct gap *gaps = pool->gaps.items;
    while (at < kept && (gaps[at].buffer < freed.buffer ||
                         (gaps[at].buffer == freed.buffer && gaps[at].offset < freed.offset)))
        at++;
    (void)VEC_PUSH(p->arena, &pool->gaps);
    memmove(&pool->gaps.items[at + 1], &pool->gaps.items[at], (kept - at) * sizeof *pool->gaps.items);
    pool->gaps.items[at] = freed;
}

static uint32_t unit_of(const struct planner *p, uint32_t node)
{
    const struct schedule *schedule = p->schedule;
    return node == UINT32_MAX || !schedule ? node : schedule->units[node];
}

/* Does the node whose tail node `n` is part of, if any, read what lies where `value` does? It reads that in
 * an order of its own. */
static bool head_reads(const struct planner *p, uint32_t n, uint32_t value)
{
    if (!p->chain || n <= p->chain->first || n >= p->chain->end)
        return false;
    const struct node *head = &p->graph->nodes.items[p->chain->first];
    for (uint32_t i = 0; i < head->input_count && !(op_table[head->op].flags & OP_POINTWISE); i++)
        if (p->home[head->inputs[i]] == p->home[value])
            return true;
    return false;
}

/* A result may lie over input `slot` when the op allows it and that value dies here; in a sweep only one that
 * is there for one item at a time. */
static bool reuse_input(struct planner *p, uint32_t n, uint32_t slot)
{
    const struct node *node = &p->graph->nodes.items[n];
    if (!(op_table[node->op].flags & OP_IN_PLACE) || slot > 0 || node->op == OP_adamw)
        return false;
    uint32_t input = node->inputs[0];
    const struct place *from = &p->plan->places[input];
    struct place *to = &p->plan->places[node->results[0]];
    enum place_kind kind = p->sweep ? PLACE_LOCAL : PLACE_SCRATCH;
    for (uint32_t i = 1; i < node->input_count; i++)
        if (p->home[node->inputs[i]] == p->home[input])
            return false;
    if (head_reads(p, n, input))
        return false;
    if (p->home[input] != input || from->kind != kind || to->kind != kind || p->last_use[input] != n ||
        from->count != to->count)
        return false;
    to->tensor = from->tensor;
    to->offset = from->offset;
    p->gone[input] = true;
    return true;
}

/* The first node after the one, or the chain, that begins with node `n`. */
static uint32_t next_of(const struct planner *p, uint32_t n)
{
    return p->chain && n == p->chain->first ? p->chain->end : n + 1;
}

/* Inside of a chain, what nobody else reads is nowhere; of a sweep, it is there for one item at a time. */
static enum place_kind kind_of(const struct planner *p, uint32_t n, uint32_t value)
{
    uint32_t last = p->last_use[value];
    if (p->chain && n >= p->chain->first && last > n && last < p->chain->end)
        return PLACE_PASSED;
    bool inside = p->sweep && unit_of(p, p->last_use[value]) == unit_of(p, n);
    return inside ? PLACE_LOCAL : PLACE_SCRATCH;
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
    for (uint32_t r = 0; r < node->result_count; r++) {
        struct place *place = &p->plan->places[node->results[r]];
        if (place->kind != PLACE_NONE)
            continue;
        place->kind = kind_of(p, n, node->results[r]);
        if (place->kind != PLACE_PASSED && !reuse_input(p, n, r))
            take(p, place->kind == PLACE_LOCAL ? &p->local : &p->scratch, place);
    }
    return OK;
}

/* Frees what node n was the last to touch: its inputs' homes and its own unread results. Of a sweep, that is
 * done for each kind when its time has come. */
static void retire(struct planner *p, uint32_t n, enum place_kind kind)
{
    const struct node *node = &p->graph->nodes.items[n];
    struct pool *pool = kind == PLACE_LOCAL ? &p->local : &p->scratch;
    for (uint32_t i = 0; i < node->input_count + node->result_count; i++) {
        uint32_t v = p->home[i < node->input_count ? node->inputs[i] : node->results[i - node->input_count]];
        bool is_last =
            kind == PLACE_LOCAL ? p->last_use[v] == n : unit_of(p, p->last_use[v]) == unit_of(p, n);
        if (p->plan->places[v].kind != kind || !is_last || p->gone[v])
            continue;
        give_back(p, pool, &p->plan->places[v]);
        p->gone[v] = true;
    }
}

/* The node `n` or the chain that begins with it; `n` becomes what is next. */
static enum status place_unit(struct planner *p, uint32_t *n, enum place_kind kind)
{
    uint32_t first = *n, end = next_of(p, first);
    for (uint32_t i = first; i < end; i++)
        TRY(place_node(p, i));
    for (uint32_t i = first; i < end; i++)
        retire(p, i, kind);
    if (p->chain && end == p->chain->end)
        p->chain = p->chain + 1 < p->schedule->chains.items + p->schedule->chains.count ? p->chain + 1 : NULL;
    *n = end;
    return OK;
}

static enum status place_sweep(struct planner *p, const struct sweep *sweep)
{
    p->sweep = sweep;
    p->local = (struct pool){0};
    for (uint32_t n = sweep->first; n < sweep->end;)
        TRY(place_unit(p, &n, PLACE_LOCAL));
    for (uint32_t n = sweep->first; n < sweep->end; n++)
        retire(p, n, PLACE_SCRATCH);
    int64_t size = p->local.sizes.count ? p->local.sizes.items[0] : 0;
    if (size > p->plan->local_size)
        p->plan->local_size = size, p->plan->local_live = p->local.most;
    p->sweep = NULL;
    return OK;
}

static enum status place_nodes(struct planner *p)
{
    uint32_t sweep = 0, sweeps = p->schedule ? p->schedule->sweeps.count : 0;
    for (uint32_t n = 0; n < p->graph->nodes.count;) {
        if (sweep < sweeps && n == p->schedule->sweeps.items[sweep].first) {
            TRY(place_sweep(p, &p->schedule->sweeps.items[sweep]));
            n = p->schedule->sweeps.items[sweep++].end;
            continue;
        }
        TRY(place_unit(p, &n, PLACE_SCRATCH));
    }
    return OK;
}

enum status memory_plan_make(struct memory_plan *out, struct arena *arena, const struct program_spec *spec,
                             struct memory_limits limits, struct trace *trace)
{
    uint32_t count = spec->graph->values.count;
    *out = (struct memory_plan){.places = ARENA_ARRAY(arena, struct place, count ? count : 1)};
    struct planner p = {.spec = spec, .graph = spec->graph, .plan = out, .arena = arena, .trace = trace};
    p.alignment = limits.alignment ? limits.alignment : 64;
    p.scratch.buffer_elements = limits.buffer_elements;
    p.schedule = limits.schedule;
    p.chain = p.schedule && p.schedule->chains.count ? p.schedule->chains.items : NULL;
    p.last_use = ARENA_ARRAY(arena, uint32_t, count ? count : 1);
    p.home = ARENA_ARRAY(arena, uint32_t, count ? count : 1);
    p.gone = ARENA_ARRAY(arena, bool, count ? count : 1);
    TRY(place_bound(&p));
    for (uint32_t v = 0; v < count; v++)
        TRY(measure(&p, v));
    find_uses(&p);
    TRY(check_in_place(&p));
    TRY(place_nodes(&p));
    out->scratch_count = p.scratch.sizes.count;
    out->scratch_sizes = p.scratch.sizes.items;
    out->scratch_live = p.scratch.most;
    return OK;
}

void memory_plan_note(const struct memory_plan *plan, uint32_t nodes)
{
    int64_t scratch = 0;
    for (uint32_t i = 0; i < plan->scratch_count; i++)
        scratch += plan->scratch_sizes[i];
    log_detail("a program of %" PRIu32
               " nodes: %.2f MB between nodes, of which %.2f MB hold something at one time; "
               "%.2f MB for a sequence of a sweep, of which %.2f MB",
               nodes, 4e-6 * (double)scratch, 4e-6 * (double)plan->scratch_live,
               4e-6 * (double)plan->local_size, 4e-6 * (double)plan->local_live);
}
