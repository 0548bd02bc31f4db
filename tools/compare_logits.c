/* compare_logits MODEL IDS LOGITS BATCH: the twin's logits of a model beside recorded ones. IDS are 64-bit
 * integers [BATCH, length], LOGITS 32-bit floats [BATCH, length, vocabulary], both little-endian without a
 * header. Prints the largest difference; exit status 1 when it is above 1e-3 times the largest logit, or
 * times 1. */
#include "backend-cpu/cpu.h"
#include "base/file.h"
#include "measure/session.h"
#include "pipeline/source.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recorded {
    struct builder ids, logits;
    int64_t batch, length, vocabulary;
};

static enum status read_recorded(struct recorded *r, char **arguments, struct trace *trace)
{
    enum { MOST = 1 << 30 };
    r->batch = strtoll(arguments[3], NULL, 10);
    TRY(file_read(&r->ids, arguments[1], MOST, trace));
    TRY(file_read(&r->logits, arguments[2], MOST, trace));
    int64_t tokens = (int64_t)(r->ids.length / 8), numbers = (int64_t)(r->logits.length / 4);
    if (r->batch < 1 || tokens == 0 || tokens % r->batch || numbers % tokens)
        return status_fail(trace, INVALID,
                           "expected %s rows of ids and of logits, found %" PRId64 " ids and %" PRId64
                           " logits",
                           arguments[3], tokens, numbers);
    r->length = tokens / r->batch;
    r->vocabulary = numbers / tokens;
    return OK;
}

static enum status run(float *logits, struct session *session, const struct recorded *r, struct trace *trace)
{
    int64_t count = r->batch * r->length;
    int32_t *tokens = calloc((size_t)count, sizeof *tokens);
    if (!tokens)
        BUG("out of memory: %" PRId64 " tokens", count);
    for (int64_t i = 0; i < count; i++) {
        int64_t id;
        memcpy(&id, r->ids.data + 8 * i, 8);
        tokens[i] = (int32_t)id;
    }
    enum status status = session_write(session, "tokens", tokens, trace);
    free(tokens);
    TRY(status);
    TRY(session_run(session, trace));
    return session_read(session, "logits", logits, trace);
}

static enum status compare(const struct recorded *r, const struct graph *model, struct executor *executor,
                           struct trace *trace)
{
    struct dim_binding dims[2];
    struct session session = {0};
    int64_t count = r->batch * r->length * r->vocabulary;
    uint32_t symbols = session_dims(dims, model, r->batch, r->length),
             output = graph_find_output(model, "logits");
    enum status status = session_create(&session, executor, model, dims, symbols, SESSION_UPLOAD, trace);
    if (status == OK && session_count(&session, output) != count)
        status = status_fail(trace, INVALID, "expected %" PRId64 " logits, found %" PRId64,
                             session_count(&session, output), count);
    float *logits = calloc((size_t)count, sizeof *logits);
    if (!logits)
        BUG("out of memory: %" PRId64 " logits", count);
    if (status == OK)
        status = run(logits, &session, r, trace);
    double worst = 0, largest = 0;
    int64_t bad = 0; /* fmax() would pass over them */
    for (int64_t i = 0; i < count; i++) {
        float expected;
        memcpy(&expected, r->logits.data + 4 * i, 4);
        bad += !isfinite(logits[i]) || !isfinite(expected);
        worst = fmax(worst, fabs((double)logits[i] - (double)expected));
        largest = fmax(largest, fabs((double)expected));
    }
    if (status == OK) {
        printf("%" PRId64 " x %" PRId64 " tokens, largest difference %.3g, largest logit %.3g\n", r->batch,
               r->length, worst, largest);
        if (bad)
            status = status_fail(trace, DIFFERS, "%" PRId64 " logits are not finite", bad);
        else if (!(worst <= 1e-3 * fmax(1, largest)))
            status = status_fail(trace, DIFFERS, "the logits differ");
    }
    free(logits);
    session_release(&session);
    return status;
}

int main(int argc, char **argv)
{
    struct trace trace = {0};
    struct recorded recorded = {0};
    struct model_source source = {0};
    struct executor *executor = NULL;
    if (argc != 5) {
        fprintf(stderr, "usage: compare_logits MODEL IDS LOGITS BATCH\n");
        return status_exit_code(INVALID);
    }
    enum status status = read_recorded(&recorded, argv + 1, &trace);
    if (status == OK)
        status = model_source_open(&source, argv[1], &(struct source_options){0}, &trace);
    if (status == OK)
        status = cpu_executor_create(&executor, (struct cpu_options){0}, &trace);
    if (status == OK)
        status = compare(&recorded, source.graph, executor, &trace);
    if (status != OK)
        fprintf(stderr, "%s\n", trace.text);
    executor_destroy(executor);
    model_source_release(&source);
    builder_release(&recorded.ids);
    builder_release(&recorded.logits);
    return status_exit_code(status);
}
