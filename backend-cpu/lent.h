/* Weights that stay where they are: a step that reads one gets it from its view while it runs, piece by
 * piece, and the pages are dropped behind it. So a model of any size runs in little memory; each run reads
 * all of it again.
 *
 * The pieces change no byte: an output of a linear layer and a row of an embedding are computed from their
 * own row of the weight alone. Other ops get the whole weight for as long as they run, which suits norms. */
#ifndef BACKEND_CPU_LENT_H
#define BACKEND_CPU_LENT_H

#include "backend-cpu/kernels.h"
#include "base/status.h"
#include "ir/tensor.h"

#ifdef ESPALIER_DOUBLE
#define lent_run lent_double_run
#define lent_room_release lent_double_room_release
#endif

/* Which operands of a step are lent. */
struct lent {
    enum op op;
    const struct tensor_view *views[NODE_MAX_INPUTS]; /* NULL: an ordinary operand */
    int64_t first[NODE_MAX_INPUTS];                   /* the view's element that is the operand's first */
};

/* Memory for one piece of a weight and what is computed from it; grows, shared by the steps of a program. */
struct lent_room {
    real *weight, *result;
    size_t weight_size, result_size; /* bytes */
};
void lent_room_release(struct lent_room *room); /* accepts zeroed memory */

/* Runs `kernel` on the call, whose lent operands have no data. IO when a file was cut short, DEVICE when
 * there is no memory for a piece. A fault of the kernel is left in the call. */
enum status lent_run(kernel_function *kernel, struct kernel_call *call, const struct lent *lent,
                     struct lent_room *room, struct trace *trace) MUST_CHECK;

#endif
