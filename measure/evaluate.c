/* Windows of text through the loss graph, batch by batch. */
#include "measure/evaluate.h"
#include "base/log.h"
#include "data/batch.h"
#include "measure/loss_graph.h"
#include "measure/session.h"
#include "shaders/scalar/scalar.h"
#include <string.h>

struct evaluator {
    struct session session;
    struct batcher batcher;
    struct batch batch;
    struct graph *graph;
    double sum;
    uint64_t labels, bytes;
};

static enum status one_batch(struct evaluator *e, uint64_t step, const struct tokenizer *tokenizer,
                             struct trace *trace)
{
    float loss;
    uint64_t labels, bytes;
    batcher_fill(&e->batcher, step, 0, &e->batch);
    TRY(session_write(&e->session, "tokens", e->batch.ids, trace));
    TRY(session_write(&e->session, "labels", e->batch.labels, trace));
    TRY(session_write(&e->session, "weights", e->batch.weights, trace));
    TRY(session_run(&e->session, trace));
    TRY(session_read(&e->session, "loss", &loss, trace));
    batch_count(&labels, &bytes, &e->batch, tokenizer);
    e->sum += (double)loss;
    e->labels += labels;
    e->bytes += bytes;
    return OK;
}

static enum status all_batches(struct evaluator *e, const struct tokenizer *tokenizer,
                               const struct evaluate_options *options, struct trace *trace)
{
    uint64_t steps = batcher_steps(&e->batcher);
    uint64_t limit = (options->limit + options->rows - 1) / options->rows;
    if (limit > 0 && limit < steps)
        steps = limit;
    struct progress progress;
    if (options->label)
        progress_start(&progress, options->label, "batches", 0, steps);
    enum status status = OK;
    for (uint64_t i = 0; i < steps && status == OK; i++) {
        if (options->stop && *options->stop)
            status = status_fail(trace, INTERRUPTED, "interrupted while evaluating");
        else
            status = one_batch(e, i, tokenizer, trace);
        if (options->label)
            progress_update(&progress, i + 1, NULL);
    }
    if (options->label)
        progress_finish(&progress);
    return status;
}

static enum status prepare(struct evaluator *e, struct executor *executor, const struct graph *model,
                           const struct corpus *corpus, const struct evaluate_options *options,
                           struct trace *trace)
{
    struct batch_options batches = {.partition = options->partition,
                                    .order = BATCH_IN_ORDER,
                                    .length = options->length,
                                    .stride = options->stride,
                                    .rows = options->rows,
                                    .micros = 1};
    TRY(batcher_open(&e->batcher, corpus, &batches, trace));
    batch_init(&e->batch, options->rows, options->length);
    TRY(loss_graph_build(&e->graph, model, (int64_t)options->rows * options->length, LOSS_SUM, trace));
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, e->graph, options->rows, options->length);
    return session_create(&e->session, executor, e->graph, dims, count, SESSION_UPLOAD, trace);
}

enum status measure_evaluate(struct evaluation *out, struct executor *executor, const struct graph *model,
                             const struct corpus *corpus, const struct tokenizer *tokenizer,
                             const struct evaluate_options *options, struct trace *trace)
{
    struct evaluator e = {.sum = 0};
    enum status status = prepare(&e, executor, model, corpus, options, trace);
    if (status == OK)
        status = all_batches(&e, tokenizer, options, trace);
    if (status == OK && e.labels == 0)
        status = status_fail(trace, INVALID, "no token was scored");
    if (status == OK) {
        *out = (struct evaluation){.tokens = e.labels, .bytes = e.bytes};
        out->loss = e.sum / (double)e.labels;
        out->perplexity = (double)gm_exp((float)out->loss);
        out->bits_per_byte = e.bytes > 0 ? e.sum / (double)e.bytes * 1.4426950408889634 : 0; /* log2(e) */
    }
    session_release(&e.session);
    graph_destroy(e.graph);
    batch_release(&e.batch);
    batcher_release(&e.batcher);
    return status;
}
