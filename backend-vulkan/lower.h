/* Lowering: what launches an op needs. Each op has a function (kernels.def names it) that is told the node,
 * where its operands and results are, and its main kernel, and adds launches to the program's commands. */
#ifndef BACKEND_VULKAN_LOWER_H
#define BACKEND_VULKAN_LOWER_H

#include "backend-vulkan/check.h"
#include "backend-vulkan/commands.h"
#include "ir/graph.h"
#include "ir/memory_plan.h"

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
};

struct lowering {
    struct commands *commands;
    struct checks *checks;
    enum vulkan_matmul matmul; /* never AUTO */
    uint32_t temporary;        /* piece that temporaries lie in */
    uint64_t temporary_limit;  /* elements */
    uint64_t temporary_next;   /* where the next temporary may start */
    uint64_t temporary_high;   /* most elements that are needed */
};

/* Room that lives until later temporaries come round to it; false when it does not fit. Launches that still
 * use old content are told apart by the barriers of commands.h. */
bool lowering_temporary(struct lowering *lowering, uint64_t count, struct span *out);

typedef enum status lower_function(struct lowering *lowering, const struct step *step, struct trace *trace);
#define LOWER(op, how, kernel) lower_function how;
#include "backend-vulkan/kernels.def"

/* Lowers the step; BROKEN when the op has no row. */
enum status lower_step(struct lowering *lowering, struct step *step, struct trace *trace) MUST_CHECK;

/* ceil(count / 64): groups of kernels with an element a lane. */
uint64_t lower_groups(uint64_t count);
/* Spans of a step in the order inputs, results: the bindings of most kernels. */
struct lower_spans {
    struct span spans[DEVICE_BINDINGS];
};
struct lower_spans lower_all_spans(const struct step *step);

#endif
