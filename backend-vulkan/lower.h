/* Lowering: what launches an op needs. Each op has a function (kernels.def names it) that is told the node,
 * where its operands and results are, and its main kernel, and adds launches to the program's commands.
 * Where an operand is too large for a binding and its groups do not walk along it (windows in kernels.def),
 * the function cuts the op into panels: of rows or columns of the result, with columns of an operand copied
 * to temporaries where they lie apart. What is added up stays together, so no byte changes. */
#ifndef BACKEND_VULKAN_LOWER_H
#define BACKEND_VULKAN_LOWER_H

#include "backend-vulkan/check.h"
#include "backend-vulkan/commands.h"
#include "backend-vulkan/tuning.h"
#include "ir/graph.h"
#include "ir/memory_plan.h"
#include "ir/schedule.h"

/* An operand or result: where it is and its shape. */
struct operand {
    struct span span;
    uint32_t rank;
    int64_t dims[VALUE_MAX_RANK];
    uint64_t count, width; /* elements in all; of the last axis */
};

struct step {
    const struct node *node;
    enum kernel kernel;
    struct operand inputs[NODE_MAX_INPUTS], results[NODE_MAX_RESULTS];
    struct span bias, addend; /* its tail; without elements: none */
};

struct lowering {
    struct commands *commands;
    struct checks *checks;
    const struct tuning *tuning; /* borrowed */
    uint64_t binding;            /* most elements of an operand that are bound at once */
    uint64_t segment;            /* elements of a segment of a piece: temporaries do not lie across its end */
    uint32_t temporary;          /* piece that temporaries lie in */
    uint64_t temporary_limit;    /* elements of all temporaries that are not kept */
    uint64_t temporary_kept;     /* elements of those that are */
    uint64_t temporary_next;     /* where the next temporary may start */
    uint64_t temporary_high;     /* most elements that are needed */
};

/* Room that lives until later temporaries come round to it; false when it does not fit. Launches that still
 * use old content are told apart by the barriers of commands.h. */
bool lowering_temporary(struct lowering *lowering, uint64_t count, struct span *out);
/* Room that lives until lowering_forget(), which ends with the step if nothing else; DEVICE when it is more
 * than a binding holds. */
enum status lowering_keep(struct lowering *lowering, uint64_t count, struct span *out,
                          struct trace *trace) MUST_CHECK;
void lowering_forget(struct lowering *lowering);

/* `columns` columns of a matrix copied, followed by zeros up to `padded` columns. Element (r, c) is
 * from[r * from_row + c * from_column], and goes to to[r * to_row + c]. */
struct lower_copy {
    struct span from, to;
    uint64_t rows, columns, padded;
    uint64_t from_row, from_column, to_row;
};
void lower_add_copy(struct lowering *lowering, const struct lower_copy *copy);

/* `count` elements from element `first` of a span on. */
struct span span_part(struct span span, uint64_t first, uint64_t count);

typedef enum status lower_function(struct lowering *lowering, const struct step *step, struct trace *trace);
#define LOWER(op, how, kernel) lower_function how;
#include "backend-vulkan/kernels.def"

/* Kernels count elements with 32 bits: DEVICE when an operand has more. */
enum status lower_check_counts(const struct step *step, struct trace *trace) MUST_CHECK;
/* Element-wise steps of a chain (ir/schedule.h); spans of values that are not stored are empty. */
enum status lower_chain(struct lowering *lowering, const struct step *steps, uint32_t count,
                        struct trace *trace) MUST_CHECK;
/* What a chain may have. */
struct chain_limits lower_chain_limits(uint64_t binding);
/* Lowers the step; BROKEN when the op has no row. */
enum status lower_step(struct lowering *lowering, struct step *step, struct trace *trace) MUST_CHECK;
/* What the op's kernel can add to its result. */
enum tail lower_tail(enum op op);
/* Makes one step of the first of `count`, whose tail (ir/schedule.h) the others are. */
void lower_join_tail(struct step *steps, uint32_t count);

/* ceil(count / 64): groups of kernels with an element a lane. */
uint64_t lower_groups(uint64_t count);
/* Spans of a step in the order inputs, results, addend: the bindings of most kernels. */
struct lower_spans {
    struct span spans[DEVICE_BINDINGS];
};
struct lower_spans lower_all_spans(const struct step *step);

#endif
