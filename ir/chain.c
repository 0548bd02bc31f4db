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
    const struct program_spec *spec;
    const struct schedule_options *options;
    const uint32_t *order;
    uint32_t place; /* where the walk is */
    uint32_t *emitted, emitted_count;
    bool *ready;       /* by value: does not wait for a node, or its node was emitted */
    bool *taken;       /* by node: has been in a chain, maybe before its turn came */
    uint32_t *reads;   /* by value: how often nodes read it */
    bool *outputs;     /* by value */
    uint32_t *tensors; /* by value: the tensor it is bound to, plus one; 0: none */
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
    return &f->spec->graph->nodes.items[n];
}

/* Elements of a value; 0 where that is not known. */
static int64_t elements_of(const struct finder *f, uint32_t value)
{
    const struct value *v = graph_value(f->spec->graph, value);
    int64_t count = 1;
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t size = dims_evaluate(&f->spec->graph->dims, v->axes[i], f->spec->dims, f->spec->dim_count);
        if (size <= 0 || __builtin_mul_overflow(count, size, &count))
            return 0;
    }
    return count;
}

static void find_uses(struct finder *f)
{
    const struct graph *graph = f->spec->graph;
    uint32_t values = graph->values.count;
    f->reads = ARENA_ARRAY(f->arena, uint32_t, values + 1);
    f->outputs = ARENA_ARRAY(f->arena, bool, values + 1);
    f->tensors = ARENA_ARRAY(f->arena, uint32_t, values + 1);
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        for (uint32_t i = 0; i < node_at(f, n)->input_count; i++)
            f->reads[node_at(f, n)->inputs[i]]++;
    for (uint32_t o = 0; o < graph->outputs.count; o++)
        f->outputs[graph->outputs.items[o].value] = true;
    for (uint32_t b = 0; b < f->spec->binding_count; b++)
        f->tensors[f->spec->bindings[b].value] = f->spec->bindings[b].tensor + 1;
}

/* Can the node be in a chain at all? */
static bool is_link(const struct finder *f, const struct node *node)
{
    if (!(op_table[node->op].flags & OP_POINTWISE))
        return false;
    int64_t elements = elements_of(f, node->results[0]);
    for (uint32_t i = 0; i < node->input_count; i++) {
        int64_t of_input = elements_of(f, node->inputs[i]);
        if (of_input != elements && of_input > f->options->chains.repeated)
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
        if (elements_of(f, node->inputs[i]) == chain->elements && reads(f, chain, node->inputs[i]))
            return true;
    return false;
}

/* Does the node store a result over a tensor that the chain reads? */
static bool overwrites(const struct finder *f, const struct node *node, const struct open *chain)
{
    for (uint32_t r = 0; r < node->result_count; r++) {
        uint32_t tensor = f->tensors[node->results[r]];
        for (uint32_t i = 0; tensor && i < chain->count; i++)
            for (uint32_t j = 0; j < node_at(f, chain->nodes[i])->input_count; j++)
                if (f->tensors[node_at(f, chain->nodes[i])->inputs[j]] == tensor)
                    return true;
    }
    return false;
}

/* Must the value be somewhere, whoever reads it? */
static bool is_stored(const struct finder *f, uint32_t value)
{
    return f->outputs[value] || f->tensors[value] || f->reads[value] == 0;
}

/* Can the executor run such ops one after the other? */
static bool ops_are_allowed(const struct finder *f, const struct open *chain)
{
    enum op ops[NODES_MOST];
    for (uint32_t i = 0; i < chain->count; i++)
        ops[i] = node_at(f, chain->nodes[i])->op;
    return !f->options->chains.allows || f->options->chains.allows(ops, chain->count);
}

/* Are the chain's operands few enough? Results are those that somebody outside reads. */
static bool operands_are_few(const struct finder *f, const struct open *chain)
{
    const struct chain_limits *limits = &f->options->chains;
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
        results += inside < f->reads[made.items[m]] || is_stored(f, made.items[m]);
    }
    return inputs.count <= limits->inputs && results <= limits->results;
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
    if (chain->count + more + 1 > NODES_MOST || chain->count + more + 1 > f->options->chains.nodes)
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
    if (f->tensors[node->results[0]])
        return false; /* others may read what it overwrites */
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!f->ready[node->inputs[i]] && !makes(f, chain, node->inputs[i]))
            return false;
    return true;
}

/* What comes soon and continues the chain. */
static void take_along(struct finder *f, struct open *chain)
{
    uint32_t nodes = f->spec->graph->nodes.count;
    for (uint32_t place = f->place; place < nodes && place - f->place < FAR; place++) {
        uint32_t number = f->order[place];
        const struct node *node = node_at(f, number);
        struct open joined;
        if (f->taken[number] || !is_link(f, node) || elements_of(f, node->results[0]) != chain->elements ||
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
    int64_t elements = elements_of(f, node->results[0]);
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
    f->open[f->open_count++] = (struct open){.nodes = {number},
                                             .count = 1,
                                             .elements = elements_of(f, node_at(f, number)->results[0]),
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
    for (uint32_t i = f->open_count; i-- > 0 && f->reads[node->results[0]] == 0;)
        if (makes(f, &f->open[i], node->results[0])) /* nobody will come for it */
            close_chain(f, i);
}

static void visit(struct finder *f, uint32_t number)
{
    const struct node *node = node_at(f, number);
    if (f->taken[number])
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
    const struct graph *graph = f->spec->graph;
    f->emitted = ARENA_ARRAY(f->arena, uint32_t, graph->nodes.count + 1);
    f->taken = ARENA_ARRAY(f->arena, bool, graph->nodes.count + 1);
    f->ready = ARENA_ARRAY(f->arena, bool, graph->values.count + 1);
    for (uint32_t v = 0; v < graph->values.count; v++)
        f->ready[v] = graph_value(graph, v)->origin != VALUE_NODE;
    find_uses(f);
}

void chains_find(struct schedule *out, struct arena *arena, const struct program_spec *spec,
                 const struct schedule_options *options, uint32_t *order)
{
    uint32_t nodes = spec->graph->nodes.count;
    struct finder f = {.out = out, .arena = arena, .spec = spec, .options = options, .order = order};
    start(&f);
    for (f.place = 0; f.place < nodes; f.place++)
        visit(&f, order[f.place]);
    while (f.open_count > 0)
        close_chain(&f, 0);
    memcpy(order, f.emitted, nodes * sizeof *order);
}
