/* How long a model's forward pass takes on a device. A measured number: it is in no key and in no hashed
 * byte. */
#ifndef MEASURE_LATENCY_H
#define MEASURE_LATENCY_H

#include "base/status.h"
#include "ir/executor.h"
#include <signal.h>

struct latency_options {
    uint32_t rows, length;             /* sequences at a time, tokens of each */
    uint32_t repeats;                  /* passes that are timed, after one that is not */
    const volatile sig_atomic_t *stop; /* INTERRUPTED when it becomes nonzero; may be NULL */
};

/* times [repeats]: seconds of each pass, ascending. */
enum status measure_latency(double *times, struct executor *executor, const struct graph *model,
                            const struct latency_options *options, struct trace *trace) MUST_CHECK;

#endif
