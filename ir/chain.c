/* One walk over the order. Element-wise nodes are held back in open chains; a node that continues one, as it
 * reads what the chain makes or reads, joins it; any other node that needs what a chain holds back closes it
 * first. A chain that is closed takes along what comes soon after and could run already. Open chains never
 * need each other. */
#include "ir/chain.h"
#include <string.h>

enum {
    OPEN_MOST = 4,
    NODES_MOST = 16, /* of a chain, whatever the limits say */
    FAR = 24,        /* nodes after which a chain is closed, so that its operands do not live long */
    VALUES_MOST = NODES_MOST * 3,
    NO_CHAIN = UINT32_MAX
};

struct open {
    uint32_t nodes[NODES_MOST], count;
    int64_t elements;
    uint32_t newest; /* place in the order that its last node had */
};

struct finder {
    struct schedule *out;
    struct arena *arena;
    const struct uses *uses;
    const struct chain_limits *limits;
    const uint32_t *order;
    const uint32_t *lengths; /* by node: of those that run as one already */
    uint32_t place;          /* where the walk is */
    uint32_t *emitted, emitted_count;
    bool *ready; /* by value: does not wait for a node, or its node was emitted */
    bool *taken; /* by node: has been in a chain, maybe before its turn came */
    struct open open[OPEN_MOST];
    uint32_t open_count;
};

/* Different values, each once. */
struct value_set {
    uint32_t items[VALUES_MOST], count;
};

static bool set_has(const struct value_set *set, uint32_t value)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->items[i] == value)
            return true;
    return false;
}

static void set_add(struct value_set *set, uint32_t value)
{
    if (!set_has(set, value))
        set->items[set->count++] = value;
}

static const struct node *node_at(const struct finder *f, uint32_t n)
{
    return &f->uses->spec->graph->nodes.items[n];
}

/* Can the node be in a chain at all? */
static bool is_link(const struct finder *f, const struct node *node)
{
    if (!(op_table[node->op].flags & OP_POINTWISE))
        return false;
    int64_t elements = uses_elements(f->uses, node->results[0]);
    for (uint32_t i = 0; i < node->input_count; i++) {
        int64_t of_input = uses_elements(f->uses, node->inputs[i]);
        if (of_input != elements && of_input > f->limits->repeated)
            return false;
    }
    return elements > 0;
}

static bool makes(const struct finder *f, const struct open *chain, uint32_t value)
{
    for (uint32_t i = 0; i < chain->count; i++)
        if (node_at(f, chain->nodes[i])->results[0] == value)
            return true;
    return false;
}

static bool reads(const struct finder *f, const struct open *chain, uint32_t value)
{
    for (uint32_t i = 0; i < chain->count; i++)
        for (uint32_t j = 0; j < node_at(f, chain->nodes[i])->input_count; j++)
            if (node_at(f, chain->nodes[i])->inputs[j] == value)
                return true;
    return false;
}

static bool node_reads_what(const struct finder *f, const struct node *node, const struct open *chain)
{
    for (uint32_t i = 0; i < node->input_count; i++)
        if (makes(f, chain, node->inputs[i]))
            return true;
    return false;
}

/* Do both read a value of theirs, element by element? */
static bool is_sibling(const struct finder *f, const struct node *node, const struct open *chain)
{
    for (uint32_t i = 0; i < node->input_count; i++)
        if (uses_elements(f->uses, node->inputs[i]) == chain->elements && reads(f, chain, node->inputs[i]))
            return true;
    return false;
}

/* Does the node store a result over a tensor that the chain reads? */
static bool overwrites(const struct finder *f, const struct node *node, const struct open *chain)
{
    for (uint32_t i = 0; i < chain->count; i++)
        if (uses_overwrites(f->uses, node, node_at(f, chain->nodes[i])))
            return true;
    return false;
}

/* Can the executor run such ops one after the other? */
static bool ops_are_allowed(const struct finder *f, const struct open *chain)
{
    enum op ops[NODES_MOST];
    for (uint32_t i = 0; i < chain->count; i++)
        ops[i] = node_at(f, chain->nodes[i])->op;
    return !f->limits->allows || f->limits->allows(ops, chain->count);
}

/* Are the chain's operands few enough, and is nothing passed on that must be seen? Results are those that
 * somebody outside reads. */
static bool operands_are_few(const struct finder *f, const struct open *chain)
{
    struct value_set inputs = {0}, made = {0};
    uint32_t results = 0;
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct node *node = node_at(f, chain->nodes[i]);
        for (uint32_t j = 0; j < node->input_count; j++)
            if (!set_has(&made, node->inputs[j]))
                set_add(&inputs, node->inputs[j]);
        set_add(&made, node->results[0]);
    }
    for (uint32_t m = 0; m < made.count; m++) {
        uint32_t inside = 0;
        for (uint32_t i = 0; i < chain->count; i++)
            for (uint32_t j = 0; j < node_at(f, chain->nodes[i])->input_count; j++)
                inside += node_at(f, chain->nodes[i])->inputs[j] == made.items[m];
        if (inside > 0 && f->limits->watched && f->limits->watched[made.items[m]])
            return false;
        results += inside < f->uses->reads[made.items[m]] || uses_is_stored(f->uses, made.items[m]);
    }
    return inputs.count <= f->limits->inputs && results <= f->limits->results;
}

static void remove_open(struct finder *f, uint32_t which)
{
    struct open *chain = &f->open[which];
    memmove(chain, chain + 1, (f->open_count - which - 1) * sizeof *chain);
    f->open_count--;
}

/* The chain with the nodes of another after its own, and the node; false when that is too much. */
static bool join(const struct finder *f, struct open *out, const struct open *chain, const struct open *other,
                 uint32_t number)
{
    uint32_t more = other ? other->count : 0;
    *out = *chain;
    if (chain->count + more + 1 > NODES_MOST || chain->count + more + 1 > f->limits->nodes)
        return false;
    if (other)
        memcpy(out->nodes + out->count, other->nodes, more * sizeof *other->nodes);
    out->count += more;
    out->nodes[out->count++] = number;
    return ops_are_allowed(f, out) && operands_are_few(f, out);
}

/* Could the node run with the chain, before all that stands between them? */
static bool is_ready(const struct finder *f, const struct node *node, const struct open *chain)
{
    if (f->uses->tensors[node->results[0]])
        return false; /* others may read what it overwrites */
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!f->ready[node->inputs[i]] && !makes(f, chain, node->inputs[i]))
            return false;
    return true;
}

/* What comes soon and continues the chain. */
static void take_along(struct finder *f, struct open *chain)
{
    uint32_t nodes = f->uses->spec->graph->nodes.count;
    for (uint32_t place = f->place; place < nodes && place - f->place < FAR; place++) {
        uint32_t number = f->order[place];
        const struct node *node = node_at(f, number);
        struct open joined;
        if (f->taken[number] || !is_link(f, node) ||
            uses_elements(f->uses, node->results[0]) != chain->elements ||
            !(node_reads_what(f, node, chain) || is_sibling(f, node, chain)) || !is_ready(f, node, chain) ||
            !join(f, &joined, chain, NULL, number))
            continue;
        *chain = joined;
        f->taken[number] = true;
    }
}

static void emit(struct finder *f, uint32_t number)
{
    f->emitted[f->emitted_count++] = number;
    for (uint32_t r = 0; r < node_at(f, number)->result_count; r++)
        f->ready[node_at(f, number)->results[r]] = true;
}

static void close_chain(struct finder *f, uint32_t which)
{
    struct open *chain = &f->open[which];
    take_along(f, chain);
    if (chain->count > 1)
        *VEC_PUSH(f->arena, &f->out->chains) =
            (struct chain){f->emitted_count, f->emitted_count + chain->count};
    for (uint32_t i = 0; i < chain->count; i++)
        emit(f, chain->nodes[i]);
    remove_open(f, which);
}

/* An open chain that the node may continue: one whose results it reads, else one that reads what it reads. */
static uint32_t find_chain(const struct finder *f, const struct node *node)
{
    int64_t elements = uses_elements(f->uses, node->results[0]);
    for (uint32_t i = f->open_count; i-- > 0;)
        if (f->open[i].elements == elements && node_reads_what(f, node, &f->open[i]))
            return i;
    for (uint32_t i = f->open_count; i-- > 0;)
        if (f->open[i].elements == elements && is_sibling(f, node, &f->open[i]))
            return i;
    return NO_CHAIN;
}

/* Closes the chains other than `but` that must run before the node, or have waited long. */
static void close_needed(struct finder *f, const struct node *node, uint32_t but)
{
    for (uint32_t i = f->open_count; i-- > 0;) {
        const struct open *chain = &f->open[i];
        bool is_needed = node_reads_what(f, node, chain) || overwrites(f, node, chain);
        if (i != but && (is_needed || f->place - chain->newest > FAR)) {
            close_chain(f, i);
            but -= but != NO_CHAIN && i < but;
        }
    }
}

/* A chain of its own. */
static void open_chain(struct finder *f, uint32_t number)
{
    if (f->open_count == OPEN_MOST)
        close_chain(f, 0);
    f->open[f->open_count++] =
        (struct open){.nodes = {number},
                      .count = 1,
                      .elements = uses_elements(f->uses, node_at(f, number)->results[0]),
                      .newest = f->place};
}

/* The node at the end of chain `which`, and with it the other chains that it reads, as far as they fit. */
static bool continue_chain(struct finder *f, uint32_t which, uint32_t number)
{
    const struct node *node = node_at(f, number);
    struct open joined, more;
    if (overwrites(f, node, &f->open[which]) || !join(f, &joined, &f->open[which], NULL, number))
        return false;
    for (uint32_t i = f->open_count; i-- > 0;) {
        struct open own = f->open[which];
        if (i == which || f->open[i].elements != own.elements || !node_reads_what(f, node, &f->open[i]) ||
            !join(f, &more, &own, &f->open[i], number))
            continue;
        joined = more;
        f->open[which] = more;
        f->open[which].count--; /* the node comes last */
        remove_open(f, i);
        which -= i < which;
    }
    joined.newest = f->place;
    f->open[which] = joined;
    close_needed(f, node, which);
    return true;
}

static void visit_link(struct finder *f, uint32_t number)
{
    const struct node *node = node_at(f, number);
    uint32_t which = find_chain(f, node);
    f->taken[number] = true;
    if (which == NO_CHAIN || !continue_chain(f, which, number)) {
        close_needed(f, node, NO_CHAIN);
        open_chain(f, number);
    }
    for (uint32_t i = f->open_count; i-- > 0 && f->uses->reads[node->results[0]] == 0;)
        if (makes(f, &f->open[i], node->results[0])) /* nobody will come for it */
            close_chain(f, i);
}

/* Nodes that run as one already, from the walk's place on. */
static void visit_tail(struct finder *f, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        close_needed(f, node_at(f, f->order[f->place + i]), NO_CHAIN);
    *VEC_PUSH(f->arena, &f->out->chains) = (struct chain){f->emitted_count, f->emitted_count + length};
    for (uint32_t i = 0; i < length; i++)
        emit(f, f->order[f->place + i]);
}

static void visit(struct finder *f, uint32_t number)
{
    const struct node *node = node_at(f, number);
    if (f->lengths[number] > 1)
        visit_tail(f, f->lengths[number]);
    if (f->lengths[number] != 1 || f->taken[number])
        return;
    if (is_link(f, node)) {
        visit_link(f, number);
        return;
    }
    close_needed(f, node, NO_CHAIN);
    emit(f, number);
}

static void start(struct finder *f)
{
    const struct graph *graph = f->uses->spec->graph;
    f->emitted = ARENA_ARRAY(f->arena, uint32_t, graph->nodes.count + 1);
    f->taken = ARENA_ARRAY(f->arena, bool, graph->nodes.count + 1);
    f->ready = ARENA_ARRAY(f->arena, bool, graph->values.count + 1);
    for (uint32_t v = 0; v < graph->values.count; v++)
        f->ready[v] = graph_value(graph, v)->origin != VALUE_NODE;
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        f->taken[n] = f->lengths[n] != 1;
}

void chains_find(struct schedule *out, struct arena *arena, const struct uses *uses,
                 const struct chain_limits *limits, const uint32_t *lengths, uint32_t *order)
{
    uint32_t nodes = uses->spec->graph->nodes.count;
    struct finder f = {
        .out = out, .arena = arena, .uses = uses, .limits = limits, .lengths = lengths, .order = order};
    start(&f);
    for (f.place = 0; f.place < nodes; f.place++)
        visit(&f, order[f.place]);
    while (f.open_count > 0)
        close_chain(&f, 0);
    memcpy(order, f.emitted, nodes * sizeof *order);
}
