/* A graph made ready to run on an executor: weights uploaded, a device tensor for every input and output,
 * compiled for given sizes of batch and sequence. */
#ifndef MEASURE_SESSION_H
#define MEASURE_SESSION_H

#include "base/arena.h"
#include "base/status.h"
#include "ir/executor.h"

/* Weights are copied to the device, or, for a run or two, lent (executor_lend): then the graph outlives the
 * session. */
enum session_weights { SESSION_UPLOAD, SESSION_LEND };

struct session {
    struct executor *executor; /* borrowed */
    const struct graph *graph; /* borrowed */
    struct arena arena;
    struct program *program;
    struct binding *bindings; /* by place: used inputs, used weights, outputs */
    int64_t *counts;          /* elements of each */
    uint32_t binding_count;
    enum session_weights weights;
};

/* Sizes of the two axes of input "tokens", whatever its symbols are called; returns how many of them are
 * symbols. */
uint32_t session_dims(struct dim_binding out[2], const struct graph *graph, int64_t batch, int64_t length);

enum status session_create(struct session *out, struct executor *executor, const struct graph *graph,
                           const struct dim_binding *dims, uint32_t dim_count, enum session_weights weights,
                           struct trace *trace) MUST_CHECK;
void session_release(struct session *session); /* accepts zeroed memory */

/* All elements of an input or output, by name. Data is float or int32_t. */
enum status session_write(struct session *session, const char *input, const void *data,
                          struct trace *trace) MUST_CHECK;
enum status session_read(struct session *session, const char *output, void *data,
                         struct trace *trace) MUST_CHECK;
/* `count` elements of an output from element `first` on. */
enum status session_read_part(struct session *session, const char *output, int64_t first, int64_t count,
                              void *data, struct trace *trace) MUST_CHECK;
enum status session_run(struct session *session, struct trace *trace) MUST_CHECK;
int64_t session_count(const struct session *session, uint32_t value); /* elements of a bound value */

#endif
