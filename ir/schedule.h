/* The order in which a graph's nodes run, and which of them run together.
 *
 * A sweep is a run of nodes that treat each sequence of a batch, an item of their operands' first axis, by
 * itself: it may be run for one sequence after the other, all its nodes for one before the next, so that what
 * they pass on stays in a cache. Nodes that add up over sequences, as gradients of weights do, are put off to
 * the end of the sweep they read from; nodes that need none of its results go before it.
 *
 * A chain is a run of nodes that are run as one: what only they pass to each other is never stored. Either
 * all are element-wise, over equally many elements; or the first is another node, as a matrix product, and
 * what is behind it, its tail, is added to its result before that is stored. No result depends on any of
 * this. */
#ifndef IR_SCHEDULE_H
#define IR_SCHEDULE_H

#include "ir/executor.h"

struct sweep {
    uint32_t first, end; /* nodes, at least two */
    int64_t count;       /* items of the first axis */
};

struct chain {
    uint32_t first, end; /* nodes, at least two */
};

struct schedule {
    struct graph graph; /* the same nodes in another order; everything else is shared with the original */
    uint32_t *units;    /* by node, ascending: nodes of a sweep or chain share one, others have their own */
    VEC(struct sweep) sweeps;
    VEC(struct chain) chains;
};

/* What a kernel can add to its first result, in this order: a row as long as its last axis, to each of its
 * rows; as many elements as it has. */
enum tail { TAIL_NONE = 0, TAIL_BIAS = 1 << 0, TAIL_ADDEND = 1 << 1 };

/* What an executor can run as one. */
struct chain_limits {
    uint32_t nodes;           /* of a chain; 0: there are none */
    uint32_t inputs, results; /* values that a chain reads, and that others read of it */
    int64_t repeated;         /* elements of an operand that is repeated, as a bias is */
    bool (*allows)(const enum op *ops, uint32_t count); /* these, in this order? NULL: any */
    enum tail (*tail)(enum op op);                      /* what its kernel can add; NULL: nothing */
    const bool *watched; /* by value: those that are not only passed on inside of a chain; NULL: none */
};

struct schedule_options {
    int64_t workers;            /* sweeps have enough items to keep so many busy; 0: there are none */
    const bool *kept;           /* by value: nodes that read it are in no sweep; NULL: none is kept */
    struct chain_limits chains; /* where there are no workers */
};

/* On `arena`, which must outlive it; `spec` is of the original graph. */
void schedule_make(struct schedule *out, struct arena *arena, const struct program_spec *spec,
                   struct schedule_options options);

#endif
