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
    bool compares; /* with a teacher */
    double sum, divergence;
    uint64_t labels, bytes, agreed;
    struct evaluate_sums sums, divergences, agreements;
    float *losses, *apart, *choices, *teacher; /* [rows, length] each; the last three of the comparison */
    struct arena *arena;                       /* of the windows, or NULL */
    VEC(struct evaluate_window) windows;
};

static enum status read_rows(struct evaluator *e, const char *what, float *out, struct trace *trace)
{
    char name[LOSS_NAME_SIZE];
    size_t all = (size_t)e->batch.rows * e->batch.length;
    for (size_t first = 0; first < all; first += LOSS_CHUNK)
        TRY(session_read(&e->session, loss_output_name(name, what, (int64_t)(first / LOSS_CHUNK)),
                         out + first, trace));
    return OK;
}

void evaluate_sums_add(struct evaluate_sums *sums, double nats, uint32_t tokens)
{
    sums->count++;
    sums->tokens += tokens;
    sums->nats_nats += nats * nats;
    sums->nats_tokens += nats * tokens;
    sums->tokens_tokens += (double)tokens * tokens;
}

static void add_window(struct evaluator *e, size_t first, const float *weights)
{
    struct evaluate_window w = {0};
    for (size_t i = first; i < first + e->batch.length; i++) {
        if (weights[i] == 0)
            continue;
        w.nats += (double)e->losses[i];
        w.tokens++;
        if (!e->compares)
            continue;
        w.divergence += (double)e->apart[i];
        w.agreed += e->choices[i] == e->teacher[i];
    }
    if (w.tokens == 0)
        return;
    evaluate_sums_add(&e->sums, w.nats, w.tokens);
    evaluate_sums_add(&e->divergences, w.divergence, w.tokens);
    evaluate_sums_add(&e->agreements, w.agreed, w.tokens);
    e->divergence += w.divergence;
    e->agreed += w.agreed;
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
    TRY(read_rows(e, "losses", e->losses, trace));
    if (e->compares) {
        TRY(read_rows(e, "divergences", e->apart, trace));
        TRY(read_rows(e, "choices", e->choices, trace));
        TRY(read_rows(e, "teacher", e->teacher, trace));
    }
    for (uint32_t row = 0; row < e->batch.rows; row++)
        add_window(e, (size_t)row * e->batch.length, e->batch.weights);
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
    size_t tokens = (size_t)options->rows * options->length;
    e->losses = calloc(tokens * (e->compares ? 4 : 1), sizeof *e->losses);
    if (!e->losses)
        BUG("out of memory");
    if (e->compares) {
        e->apart = e->losses + tokens;
        e->choices = e->apart + tokens;
        e->teacher = e->choices + tokens;
    }
    struct loss_teacher teacher = {options->teacher, options->vocabulary};
    TRY(loss_graph_build(&e->graph, model, (int64_t)tokens, LOSS_SUM_AND_EACH, e->compares ? &teacher : NULL,
                         trace));
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, e->graph, options->rows, options->length);
    return session_create(&e->session, executor, e->graph, dims, count, SESSION_UPLOAD, trace);
}

static enum status conclude(struct evaluation *out, const struct evaluator *e, struct trace *trace)
{
    if (e->labels == 0)
        return status_fail(trace, INVALID, "no token was scored");
    if (!isfinite(e->sum) || !isfinite(e->divergence))
        return status_fail(trace, INVALID, "%s of some tokens is not finite: logits overflow",
                           isfinite(e->sum) ? "the divergence from the teacher" : "the loss");
    double labels = (double)e->labels;
    *out = (struct evaluation){.tokens = e->labels, .bytes = e->bytes, .loss = e->sum / labels};
    out->error = evaluate_error(&e->sums, out->loss);
    out->window_count = e->sums.count;
    out->windows = e->windows.items;
    out->perplexity = (double)gm_exp((float)out->loss);
    out->bits_per_byte = e->bytes > 0 ? e->sum / (double)e->bytes * 1.4426950408889634 : 0; /* log2(e) */
    if (!e->compares)
        return OK;
    out->divergence = e->divergence / labels;
    out->divergence_error = evaluate_error(&e->divergences, out->divergence);
    out->agreement = (double)e->agreed / labels;
    out->agreement_error = evaluate_error(&e->agreements, out->agreement);
    return OK;
}

enum status measure_evaluate(struct evaluation *out, struct executor *executor, const struct graph *model,
                             const struct corpus *corpus, const struct tokenizer *tokenizer,
                             const struct evaluate_options *options, struct trace *trace)
{
    struct evaluator e = {.arena = options->arena, .compares = options->teacher != NULL};
    enum status status = prepare(&e, executor, model, corpus, options, trace);
    if (status == OK)
        status = all_batches(&e, tokenizer, options, trace);
    if (status == OK)
        status = conclude(out, &e, trace);
    free(e.losses);
    session_release(&e.session);
    graph_destroy(e.graph);
    batch_release(&e.batch);
    batcher_release(&e.batcher);
    return status;
}
