/* One walk over the order. An addition with an operand that a node makes for it alone, by a kernel that can
 * add, moves up to that node; where its other operand is made later, or what it is stored over is still read,
 * the node moves down to it. */
#include "ir/tail.h"
#include <string.h>

enum {
    UP_MOST = 4096, /* places that an addition moves */
    DOWN_MOST = 24  /* places that a node moves: what it reads lives so much longer */
};

struct tail_finder {
    const struct uses *uses;
    const struct chain_limits *limits;
    uint32_t *order, *places; /* nodes, and where each is */
    uint32_t *lengths;        /* by node */
    enum tail *tails;         /* by the first node of several: what it adds */
};

/* A node with what is behind it already, and the addition that would come next. */
struct match {
    uint32_t head, first, end; /* the node; its places */
    uint32_t addition, place;  /* its node and place */
    uint32_t other;            /* the addition's other operand */
    enum tail tail;
};

static const struct node *node_at(const struct tail_finder *f, uint32_t number)
{
    return &f->uses->spec->graph->nodes.items[number];
}

static const struct node *node_in(const struct tail_finder *f, uint32_t place)
{
    return node_at(f, f->order[place]);
}

/* The node that makes a value, or the first of those that run as one and make it last; ID_NONE: none. */
static uint32_t head_of(const struct tail_finder *f, uint32_t value)
{
    const struct value *v = graph_value(f->uses->spec->graph, value);
    if (v->origin != VALUE_NODE || v->slot != 0)
        return ID_NONE;
    uint32_t place = f->places[v->source];
    while (f->lengths[f->order[place]] == 0)
        place--;
    uint32_t head = f->order[place];
    return node_in(f, place + f->lengths[head] - 1)->results[0] == value ? head : ID_NONE;
}

/* What adding `other` to `value` is; TAIL_NONE where no kernel does it. */
static enum tail tail_of(const struct tail_finder *f, uint32_t value, uint32_t other, bool is_second)
{
    const struct value *v = graph_value(f->uses->spec->graph, value),
                       *o = graph_value(f->uses->spec->graph, other);
    int64_t elements = uses_elements(f->uses, value);
    if (elements == 0 || v->dtype != DTYPE_F32 || o->dtype != DTYPE_F32)
        return TAIL_NONE;
    if (o->rank == 1 && v->rank > 1) /* one row for all, as broadcasting has it */
        return is_second ? TAIL_BIAS : TAIL_NONE;
    return uses_elements(f->uses, other) == elements ? TAIL_ADDEND : TAIL_NONE;
}

/* Can the addition be behind what makes its operand `slot`, wherever both are? */
static bool find_match(const struct tail_finder *f, struct match *m, uint32_t slot)
{
    const struct node *addition = node_at(f, m->addition);
    uint32_t value = addition->inputs[slot];
    m->other = addition->inputs[1 - slot];
    m->head = head_of(f, value);
    if (m->head == ID_NONE || m->other == value || (f->limits->watched && f->limits->watched[value]) ||
        f->uses->reads[value] != 1 || uses_is_stored(f->uses, value))
        return false;
    m->tail = tail_of(f, value, m->other, slot == 0);
    enum tail able = f->limits->tail(node_at(f, m->head)->op), has = f->tails[m->head];
    bool is_next = m->tail == TAIL_BIAS ? has == TAIL_NONE : !(has & TAIL_ADDEND);
    m->first = f->places[m->head];
    m->end = m->first + f->lengths[m->head];
    return m->tail != TAIL_NONE && (able & m->tail) && is_next;
}

/* Nobody may read, behind the addition, what it is stored over: so the node itself may not either. */
static bool is_stored_over_operand(const struct tail_finder *f, const struct match *m)
{
    for (uint32_t place = m->first; place < m->end; place++)
        if (uses_overwrites(f->uses, node_at(f, m->addition), node_in(f, place)))
            return true;
    return false;
}

static bool makes(const struct node *node, uint32_t value)
{
    for (uint32_t r = 0; r < node->result_count; r++)
        if (node->results[r] == value)
            return true;
    return false;
}

static bool reads_what(const struct node *reader, const struct node *maker)
{
    for (uint32_t i = 0; i < reader->input_count; i++)
        if (makes(maker, reader->inputs[i]))
            return true;
    return false;
}

/* Can the addition move up over all that stands between? */
static bool can_move_up(const struct tail_finder *f, const struct match *m)
{
    const struct node *addition = node_at(f, m->addition);
    if (m->place - m->end > UP_MOST)
        return false;
    for (uint32_t place = m->end; place < m->place; place++) {
        const struct node *between = node_in(f, place);
        if (makes(between, m->other) || uses_overwrites(f->uses, addition, between) ||
            uses_overwrites(f->uses, between, addition))
            return false;
    }
    return true;
}

/* Can the node, with what is behind it, move down? */
static bool can_move_down(const struct tail_finder *f, const struct match *m)
{
    if (m->place - m->end > DOWN_MOST)
        return false;
    for (uint32_t place = m->end; place < m->place; place++)
        for (uint32_t own = m->first; own < m->end; own++)
            if (reads_what(node_in(f, place), node_in(f, own)) ||
                uses_overwrites(f->uses, node_in(f, place), node_in(f, own)) ||
                uses_overwrites(f->uses, node_in(f, own), node_in(f, place)))
                return false;
    return true;
}

static void note_places(struct tail_finder *f, uint32_t first, uint32_t end)
{
    for (uint32_t place = first; place < end; place++)
        f->places[f->order[place]] = place;
}

static void move_up(struct tail_finder *f, const struct match *m)
{
    memmove(&f->order[m->end + 1], &f->order[m->end], (m->place - m->end) * sizeof *f->order);
    f->order[m->end] = m->addition;
    note_places(f, m->end, m->place + 1);
}

static void move_down(struct tail_finder *f, const struct match *m)
{
    uint32_t moved[3], count = m->end - m->first, to = m->place - count;
    memcpy(moved, &f->order[m->first], count * sizeof *moved);
    memmove(&f->order[m->first], &f->order[m->end], (m->place - m->end) * sizeof *f->order);
    memcpy(&f->order[to], moved, count * sizeof *moved);
    note_places(f, m->first, m->place);
}

static void join(struct tail_finder *f, const struct match *m)
{
    f->tails[m->head] |= m->tail;
    f->lengths[m->head]++;
    f->lengths[m->addition] = 0;
}

static void visit(struct tail_finder *f, uint32_t place)
{
    struct match m = {.addition = f->order[place], .place = place};
    if (node_at(f, m.addition)->op != OP_add)
        return;
    for (uint32_t slot = 2; slot-- > 0;)
        if (find_match(f, &m, slot) && !is_stored_over_operand(f, &m) && can_move_up(f, &m)) {
            move_up(f, &m);
            join(f, &m);
            return;
        }
    for (uint32_t slot = 2; slot-- > 0;)
        if (find_match(f, &m, slot) && !is_stored_over_operand(f, &m) && can_move_down(f, &m)) {
            move_down(f, &m);
            join(f, &m);
            return;
        }
}

uint32_t *tails_find(struct arena *arena, const struct uses *uses, const struct chain_limits *limits,
                     uint32_t *order)
{
    uint32_t nodes = uses->spec->graph->nodes.count;
    struct tail_finder f = {.uses = uses,
                            .limits = limits,
                            .order = order,
                            .places = ARENA_ARRAY(arena, uint32_t, nodes + 1),
                            .lengths = ARENA_ARRAY(arena, uint32_t, nodes + 1),
                            .tails = ARENA_ARRAY(arena, enum tail, nodes + 1)};
    for (uint32_t n = 0; n < nodes; n++)
        f.lengths[n] = 1;
    note_places(&f, 0, nodes);
    for (uint32_t place = 0; place < nodes && limits->tail; place++)
        visit(&f, place);
    return f.lengths;
}
