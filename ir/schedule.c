#include "ir/schedule.h"
#include "ir/chain.h"
#include "ir/tail.h"
#include <assert.h>
#include <string.h>

/* Elements that put-off nodes may keep alive: results of the sweep that they read. */
static const int64_t MOST_PUT_OFF = INT64_C(1) << 26;

enum made {
    MADE_BEFORE,
    MADE_HERE,
    MADE_PUT_OFF
}; /* where a value comes from, seen from the sweep being built */

struct scheduler {
    struct schedule *out;
    struct arena *arena;
    const struct program_spec *spec;
    struct schedule_options options;
    enum made *made; /* by value */
    bool *shared;    /* by value: a result stored over an input of the graph */
    VEC(uint32_t) sweep, put_off, order;
    uint32_t axis;       /* of the sweep being built */
    int64_t count, kept; /* its items; elements kept alive */
};

static int64_t size_of(const struct scheduler *s, uint32_t term)
{
    return dims_evaluate(&s->spec->graph->dims, term, s->spec->dims, s->spec->dim_count);
}

static bool has_leaf(const struct dims *dims, uint32_t term, uint32_t leaf)
{
    uint32_t leaves[DIM_MAX_FACTORS], count = dims_leaves(dims, term, leaves);
    for (uint32_t i = 0; i < count; i++)
        if (dims_find(dims, leaves[i]) == leaf)
            return true;
    return false;
}

/* Is `axis` the first axis of the value, or no part of it at all? */
enum walk { WALK_ALONG, WALK_WHOLE, WALK_ACROSS };

static enum walk walk_of(const struct graph *graph, const struct value *value, uint32_t axis)
{
    bool along = value->rank > 0 && dims_find(&graph->dims, value->axes[0]) == axis;
    for (uint32_t i = along ? 1 : 0; i < value->rank; i++)
        if (has_leaf(&graph->dims, value->axes[i], axis))
            return WALK_ACROSS;
    return along ? WALK_ALONG : WALK_WHOLE;
}

/* Sequences of ids are what a model treats one by one. */
static bool is_batch(const struct graph *graph, uint32_t axis)
{
    for (uint32_t i = 0; i < graph->inputs.count; i++) {
        const struct value *ids = graph_value(graph, graph->inputs.items[i].value);
        if (ids->dtype == DTYPE_I32 && ids->rank == 2 && dims_find(&graph->dims, ids->axes[0]) == axis)
            return true;
    }
    return false;
}

/* Can the node be run for one sequence at a time? All that has its results' first axis has it first. */
static bool can_sweep(const struct scheduler *s, const struct node *node, uint32_t *axis)
{
    const struct graph *graph = s->spec->graph;
    const struct value *first = graph_value(graph, node->results[0]);
    if ((op_table[node->op].flags & (OP_VIEW | OP_ACROSS)) || first->rank < 2 ||
        !dims_is_leaf(&graph->dims, first->axes[0]))
        return false;
    *axis = dims_find(&graph->dims, first->axes[0]);
    if (!is_batch(graph, *axis))
        return false;
    for (uint32_t i = 0; i < node->result_count; i++)
        if (s->shared[node->results[i]] ||
            walk_of(graph, graph_value(graph, node->results[i]), *axis) != WALK_ALONG)
            return false;
    bool walks = false;
    for (uint32_t i = 0; i < node->input_count; i++) {
        enum walk walk = walk_of(graph, graph_value(graph, node->inputs[i]), *axis);
        if (walk == WALK_ACROSS || (s->options.kept && s->options.kept[node->inputs[i]]))
            return false;
        walks = walks || walk == WALK_ALONG;
    }
    return walks;
}

/* Enough items that no worker waits long for the others. */
static bool is_worth(const struct scheduler *s, int64_t count)
{
    int64_t workers = s->options.workers;
    return workers > 0 && count > 1 && (count % workers == 0 || count >= 4 * workers);
}

static bool reads(const struct scheduler *s, const struct node *node, enum made made)
{
    for (uint32_t i = 0; i < node->input_count; i++)
        if (s->made[node->inputs[i]] == made)
            return true;
    return false;
}

static void set_made(struct scheduler *s, const struct node *node, enum made made)
{
    for (uint32_t i = 0; i < node->result_count; i++)
        s->made[node->results[i]] = made;
}

static void emit(struct scheduler *s, uint32_t node)
{
    *VEC_PUSH(s->arena, &s->order) = node;
    set_made(s, &s->spec->graph->nodes.items[node], MADE_BEFORE);
}

/* The sweep, then what was put off. */
static void finish_sweep(struct scheduler *s)
{
    if (s->sweep.count > 1)
        *VEC_PUSH(s->arena, &s->out->sweeps) =
            (struct sweep){s->order.count, s->order.count + s->sweep.count, s->count};
    for (uint32_t i = 0; i < s->sweep.count; i++)
        emit(s, s->sweep.items[i]);
    for (uint32_t i = 0; i < s->put_off.count; i++)
        emit(s, s->put_off.items[i]);
    s->sweep.count = s->put_off.count = 0;
    s->kept = 0;
}

static void put_off(struct scheduler *s, uint32_t number)
{
    const struct node *node = &s->spec->graph->nodes.items[number];
    *VEC_PUSH(s->arena, &s->put_off) = number;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct value *value = graph_value(s->spec->graph, node->inputs[i]);
        int64_t elements = s->made[node->inputs[i]] == MADE_HERE;
        for (uint32_t a = 0; a < value->rank && elements > 0; a++)
            if (__builtin_mul_overflow(elements, size_of(s, value->axes[a]), &elements) || elements < 0)
                elements = MOST_PUT_OFF + 1; /* who plans the memory refuses it */
        s->kept += elements > MOST_PUT_OFF ? MOST_PUT_OFF + 1 : elements;
    }
    set_made(s, node, MADE_PUT_OFF);
    if (s->kept > MOST_PUT_OFF)
        finish_sweep(s);
}

/* A result that is stored over an input keeps its place behind all that read the input. */
static bool overwrites(const struct scheduler *s, const struct node *node)
{
    for (uint32_t i = 0; i < node->result_count; i++)
        if (s->shared[node->results[i]])
            return true;
    return false;
}

static void schedule_node(struct scheduler *s, uint32_t number)
{
    const struct node *node = &s->spec->graph->nodes.items[number];
    uint32_t axis = 0;
    int64_t count = 0;
    if (can_sweep(s, node, &axis) && is_worth(s, count = size_of(s, axis))) {
        if (s->sweep.count && (axis != s->axis || reads(s, node, MADE_PUT_OFF)))
            finish_sweep(s);
        s->axis = axis;
        s->count = count;
        *VEC_PUSH(s->arena, &s->sweep) = number;
        set_made(s, node, MADE_HERE);
        return;
    }
    bool free = !reads(s, node, MADE_HERE) && !reads(s, node, MADE_PUT_OFF) && !overwrites(s, node);
    if (s->sweep.count == 0 || free)
        emit(s, number);
    else
        put_off(s, number);
}

/* Results that are bound to the tensor of an input or weight. */
static void find_shared(struct scheduler *s)
{
    const struct program_spec *spec = s->spec;
    uint32_t tensors = 0;
    for (uint32_t i = 0; i < spec->binding_count; i++)
        if (spec->bindings[i].tensor >= tensors)
            tensors = spec->bindings[i].tensor + 1;
    bool *read = ARENA_ARRAY(s->arena, bool, tensors + 1);
    for (uint32_t i = 0; i < spec->binding_count; i++)
        if (graph_value(spec->graph, spec->bindings[i].value)->origin != VALUE_NODE)
            read[spec->bindings[i].tensor] = true;
    for (uint32_t i = 0; i < spec->binding_count; i++)
        if (graph_value(spec->graph, spec->bindings[i].value)->origin == VALUE_NODE)
            s->shared[spec->bindings[i].value] = read[spec->bindings[i].tensor];
}

/* The nodes in their new order, and values that know where their nodes are now. */
static void reorder(struct scheduler *s)
{
    const struct graph *from = s->spec->graph;
    struct graph *to = &s->out->graph;
    *to = *from;
    to->nodes.items = ARENA_ARRAY(s->arena, struct node, from->nodes.count + 1);
    to->values.items = ARENA_ARRAY(s->arena, struct value, from->values.count + 1);
    if (from->values.count)
        memcpy(to->values.items, from->values.items, from->values.count * sizeof *to->values.items);
    for (uint32_t n = 0; n < from->nodes.count; n++) {
        const struct node *node = &from->nodes.items[s->order.items[n]];
        to->nodes.items[n] = *node;
        for (uint32_t i = 0; i < node->result_count; i++)
            to->values.items[node->results[i]].source = n;
    }
}

static void number_units(struct scheduler *s)
{
    struct schedule *out = s->out;
    uint32_t unit = 0, sweep = 0, chain = 0;
    out->units = ARENA_ARRAY(s->arena, uint32_t, out->graph.nodes.count + 1);
    for (uint32_t n = 0; n < out->graph.nodes.count; n++) {
        bool ends_sweep = sweep < out->sweeps.count && n + 1 == out->sweeps.items[sweep].end;
        bool ends_chain = chain < out->chains.count && n + 1 == out->chains.items[chain].end;
        bool is_swept = sweep < out->sweeps.count && n >= out->sweeps.items[sweep].first;
        bool is_chained = chain < out->chains.count && n >= out->chains.items[chain].first;
        out->units[n] = unit;
        unit += is_swept ? ends_sweep : !is_chained || ends_chain;
        sweep += ends_sweep;
        chain += ends_chain;
    }
}

void schedule_make(struct schedule *out, struct arena *arena, const struct program_spec *spec,
                   struct schedule_options options)
{
    uint32_t values = spec->graph->values.count;
    *out = (struct schedule){0};
    struct scheduler s = {.out = out, .arena = arena, .spec = spec, .options = options};
    s.made = ARENA_ARRAY(arena, enum made, values + 1);
    s.shared = ARENA_ARRAY(arena, bool, values + 1);
    find_shared(&s);
    for (uint32_t n = 0; n < spec->graph->nodes.count; n++)
        schedule_node(&s, n);
    finish_sweep(&s);
    assert(options.chains.nodes == 0 || options.workers == 0);
    if (options.chains.nodes > 1) {
        struct uses uses = uses_find(arena, spec);
        uint32_t *lengths = tails_find(arena, &uses, &options.chains, s.order.items);
        chains_find(out, arena, &uses, &options.chains, lengths, s.order.items);
    }
    reorder(&s);
    number_units(&s);
}
