/* Logits of the first position are read within the time, so that a device has finished. */
#include "measure/latency.h"
#include "base/log.h"
#include "measure/session.h"
#include <stdlib.h>

static enum status one_pass(double *seconds, struct session *session, const int32_t *tokens,
                            struct trace *trace)
{
    float logit;
    double start = clock_seconds();
    TRY(session_write(session, "tokens", tokens, trace));
    TRY(session_run(session, trace));
    TRY(session_read_part(session, "logits", 0, 1, &logit, trace));
    *seconds = clock_seconds() - start;
    return OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum status all_passes(double *times, struct session *session, const int32_t *tokens,
                              const struct latency_options *options, struct trace *trace)
{
    double cold;
    TRY(one_pass(&cold, session, tokens, trace));
    for (uint32_t i = 0; i < options->repeats; i++) {
        if (options->stop && *options->stop)
            return status_fail(trace, INTERRUPTED, "interrupted while timing");
        TRY(one_pass(&times[i], session, tokens, trace));
    }
    qsort(times, options->repeats, sizeof *times, ascending);
    return OK;
}

enum status measure_latency(double *times, struct executor *executor, const struct graph *model,
                            const struct latency_options *options, struct trace *trace)
{
    struct session session;
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, model, options->rows, options->length);
    int32_t *tokens = calloc((size_t)options->rows * options->length, sizeof *tokens);
    if (!tokens)
        BUG("out of memory");
    enum status status = session_create(&session, executor, model, dims, count, SESSION_UPLOAD, trace);
    if (status == OK) {
        status = all_passes(times, &session, tokens, options, trace);
        session_release(&session);
    }
    free(tokens);
    return status;
}
