/* Where the values of a program live: bound tensors, views of other values, or places in scratch memory that
 * are reused as soon as the last reader has run. A plan is made for a schedule, whose order is then the one
 * that in-place bindings are checked in. Places depend on shapes only. */
#ifndef IR_MEMORY_PLAN_H
#define IR_MEMORY_PLAN_H

#include "base/arena.h"
#include "base/status.h"
#include "ir/executor.h"

/* LOCAL: memory of a sweep (ir/schedule.h) that holds the value for one item of its first axis at a time.
 * PASSED: nowhere, as only nodes of one chain (ir/schedule.h) make and read it. */
enum place_kind { PLACE_NONE, PLACE_TENSOR, PLACE_SCRATCH, PLACE_LOCAL, PLACE_PASSED };

struct schedule;

struct place {
    enum place_kind kind;
    uint32_t tensor; /* PLACE_TENSOR: device tensor; PLACE_SCRATCH: number of the scratch buffer */
    int64_t offset;  /* elements of 4 bytes from its start; LOCAL: of a thread's memory */
    uint32_t rank;
    int64_t dims[VALUE_MAX_RANK]; /* sizes under the program's bindings */
    int64_t count;                /* their product */
};

struct memory_plan {
    struct place *places; /* one a value; PLACE_NONE for values that no node and no output uses */
    uint32_t scratch_count;
    int64_t *scratch_sizes; /* elements of each scratch buffer */
    int64_t local_size;     /* elements that the largest sweep needs for an item */
    /* The most elements of scratch, and of an item of a sweep, that hold something at one time: with results
     * stored over operands where that is allowed, no plan can do with less. */
    int64_t scratch_live, local_live;
};

struct memory_limits {
    int64_t buffer_elements; /* most elements of one scratch buffer, unless one value has more; 0: no limit */
    int64_t alignment;       /* elements; offsets are multiples of it; 0 means 64 */
    const struct schedule *schedule; /* whose graph the spec has; NULL: one node after the other */
};

/* Allocates from `arena`. INVALID: a size is unknown or overflows, an output bound in place is read after it
 * is overwritten. BROKEN: a used input, weight or output has no binding. */
enum status memory_plan_make(struct memory_plan *out, struct arena *arena, const struct program_spec *spec,
                             struct memory_limits limits, struct trace *trace) MUST_CHECK;
/* Says (log_detail) what the plan takes beside the least that it could. */
void memory_plan_note(const struct memory_plan *plan, uint32_t nodes);

#endif
