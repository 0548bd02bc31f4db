/* Windows of text through the loss graph, batch by batch. */
#include "measure/evaluate.h"
#include "base/log.h"
#include "base/vec.h"
#include "data/batch.h"
#include "measure/loss_graph.h"
#include "measure/session.h"
#include "shaders/scalar/scalar.h"
#include <math.h>
#include <stdlib.h>

struct evaluator {
    struct session session;
    struct batcher batcher;
    struct batch batch;
    struct graph *graph;
    double sum;
    uint64_t labels, bytes;
    struct evaluate_sums sums;
    float *losses;       /* [rows, length] */
    struct arena *arena; /* of the windows, or NULL */
    VEC(struct evaluate_window) windows;
};

static enum status read_losses(struct evaluator *e, struct trace *trace)
{
    char name[LOSS_NAME_SIZE];
    size_t all = (size_t)e->batch.rows * e->batch.length;
    for (size_t first = 0; first < all; first += LOSS_CHUNK)
        TRY(session_read(&e->session, loss_output_name(name, "losses", (int64_t)(first / LOSS_CHUNK)),
                         e->losses + first, trace));
    return OK;
}

static void add_window(struct evaluator *e, const float *losses, const float *weights)
{
    struct evaluate_window w = {0};
    for (uint32_t i = 0; i < e->batch.length; i++)
        if (weights[i] != 0) {
            w.nats += (double)losses[i];
            w.tokens++;
        }
    if (w.tokens == 0)
        return;
    e->sums.count++;
    e->sums.tokens += w.tokens;
    e->sums.nats_nats += w.nats * w.nats;
    e->sums.nats_tokens += w.nats * w.tokens;
    e->sums.tokens_tokens += (double)w.tokens * w.tokens;
    if (e->arena)
        *VEC_PUSH(e->arena, &e->windows) = w;
}

double evaluate_error(const struct evaluate_sums *sums, double loss)
{
    double n = (double)sums->count;
    double squares = sums->nats_nats - 2 * loss * sums->nats_tokens + loss * loss * sums->tokens_tokens;
    return sums->count > 1 && squares > 0 ? sqrt(n / (n - 1) * squares) / (double)sums->tokens : 0;
}

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
    TRY(read_losses(e, trace));
    for (uint32_t row = 0; row < e->batch.rows; row++)
        add_window(e, e->losses + (size_t)row * e->batch.length,
                   e->batch.weights + (size_t)row * e->batch.length);
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
    e->losses = calloc((size_t)options->rows * options->length, sizeof *e->losses);
    if (!e->losses)
        BUG("out of memory");
    TRY(loss_graph_build(&e->graph, model, (int64_t)options->rows * options->length, LOSS_SUM_AND_EACH,
                         trace));
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, e->graph, options->rows, options->length);
    return session_create(&e->session, executor, e->graph, dims, count, SESSION_UPLOAD, trace);
}

enum status measure_evaluate(struct evaluation *out, struct executor *executor, const struct graph *model,
                             const struct corpus *corpus, const struct tokenizer *tokenizer,
                             const struct evaluate_options *options, struct trace *trace)
{
    struct evaluator e = {.arena = options->arena};
    enum status status = prepare(&e, executor, model, corpus, options, trace);
    if (status == OK)
        status = all_batches(&e, tokenizer, options, trace);
    if (status == OK && e.labels == 0)
        status = status_fail(trace, INVALID, "no token was scored");
    if (status == OK) {
        *out = (struct evaluation){.tokens = e.labels, .bytes = e.bytes};
        out->loss = e.sum / (double)e.labels;
        out->error = evaluate_error(&e.sums, out->loss);
        out->window_count = e.sums.count;
        out->windows = e.windows.items;
        out->perplexity = (double)gm_exp((float)out->loss);
        out->bits_per_byte = e.bytes > 0 ? e.sum / (double)e.bytes * 1.4426950408889634 : 0; /* log2(e) */
    }
    free(e.losses);
    session_release(&e.session);
    graph_destroy(e.graph);
    batch_release(&e.batch);
    batcher_release(&e.batcher);
    return status;
}
