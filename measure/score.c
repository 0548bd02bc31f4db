/* Scoring: the scoring graph, run over sequences of the calibration text. What leaves the device is small: a
 * number per head, neuron or channel and sequence. Sums over sequences are made on the host, in order
 * (measure/tally.h). */
#include "measure/score.h"
#include "base/log.h"
#include "measure/scorer.h"
#include <inttypes.h>
#include <stdlib.h>

static enum status read_signal(struct scorer *s, struct signal *signal, struct trace *trace)
{
    size_t count = (size_t)signal->count * (signal->is_rows ? s->batch.rows : 1);
    float *values = malloc(count * sizeof *values);
    if (!values)
        BUG("out of memory");
    enum status status = session_read(&s->session, signal->output, values, trace);
    if (status == OK && signal->is_rows)
        tally_add(&signal->tally, values, s->batch.rows);
    else if (status == OK)
        signal->sum += (double)values[0];
    free(values);
    return status;
}

static enum status one_batch(struct scorer *s, uint64_t step, struct trace *trace)
{
    batcher_fill(&s->batcher, step, 0, &s->batch);
    int64_t tokens = (int64_t)s->batch.rows * s->batch.length;
    for (int64_t i = 0; scorer_measures_model(s) && i < tokens; i++) {
        s->tokens[s->batch.ids[i]] += 1;
        s->labelled += s->batch.weights[i] != 0;
        s->positions++;
    }
    TRY(session_write(&s->session, "tokens", s->batch.ids, trace));
    if (s->labels != ID_NONE) {
        TRY(session_write(&s->session, "labels", s->batch.labels, trace));
        TRY(session_write(&s->session, "weights", s->batch.weights, trace));
    }
    TRY(session_run(&s->session, trace));
    for (uint32_t i = s->first_signal; i < s->signals.count; i++)
        TRY(read_signal(s, &s->signals.items[i], trace));
    return OK;
}

static enum status write_ones(struct scorer *s, struct trace *trace)
{
    size_t count = (size_t)s->batch.rows * s->batch.length;
    if (graph_find_input(s->graph, "ones") == ID_NONE)
        return OK;
    float *ones = malloc(count * sizeof *ones);
    if (!ones)
        BUG("out of memory");
    for (size_t i = 0; i < count; i++)
        ones[i] = 1;
    enum status status = session_write(&s->session, "ones", ones, trace);
    free(ones);
    return status;
}

static const char *sweep_label(const struct scorer *s, struct arena *arena)
{
    const struct score_options *options = s->options;
    if (!options->label || scorer_measures_model(s))
        return options->label;
    return arena_printf(arena, "%s, removal %" PRIu32 " of %" PRIu32, options->label, s->sweep + 1,
                        s->candidates.count);
}

static enum status run_batches(struct scorer *s, struct trace *trace)
{
    const struct score_options *options = s->options;
    struct progress progress;
    uint64_t steps = options->samples / options->rows;
    TRY(write_ones(s, trace));
    if (options->label)
        progress_start(&progress, sweep_label(s, s->arena), "sequences", 0, options->samples);
    enum status status = OK;
    for (uint64_t i = 0; i < steps && status == OK; i++) {
        if (options->stop && *options->stop)
            status = status_fail(trace, INTERRUPTED, "interrupted while scoring");
        else
            status = one_batch(s, i, trace);
        if (options->label)
            progress_update(&progress, (i + 1) * options->rows, NULL);
    }
    if (options->label)
        progress_finish(&progress);
    return status;
}

/* The graph of a sweep, over all batches. */
static enum status run_sweep(struct scorer *s, struct executor *executor, uint32_t sweep, struct trace *trace)
{
    struct dim_binding dims[2];
    s->sweep = sweep;
    s->first_signal = s->signals.count;
    enum status status = scorer_build(s, trace);
    if (status == OK) {
        uint32_t count = session_dims(dims, s->graph, s->options->rows, s->options->length);
        status = session_create(&s->session, executor, s->graph, dims, count, SESSION_UPLOAD, trace);
    }
    if (status == OK)
        status = run_batches(s, trace);
    session_release(&s->session);
    graph_destroy(s->graph);
    s->graph = NULL;
    return status;
}

static enum status run_all(struct scorer *s, struct executor *executor, struct trace *trace)
{
    bool apart = s->options->removals == REMOVALS_ONE_BY_ONE;
    TRY(run_sweep(s, executor, apart ? SWEEP_REST : SWEEP_ALL, trace));
    for (uint32_t i = 0; apart && i < s->candidates.count; i++)
        if (scorer_wants_removals(s) ||
            (s->candidates.items[i].count > 1 && scorer_wants_depth(s, DEPTH_BLOCK_IMPORTANCE)))
            TRY(run_sweep(s, executor, i, trace));
    return s->options->task ? scorer_run_task(s, executor, trace) : OK;
}

static enum status prepare(struct scorer *s, const struct corpus *corpus, struct trace *trace)
{
    const struct score_options *options = s->options;
    if (options->samples % options->rows != 0)
        return status_fail(trace, INVALID,
                           "samples: %" PRIu32 " is not a multiple of the %" PRIu32
                           " sequences that run at a time (micro)",
                           options->samples, options->rows);
    struct batch_options batches = {.partition = options->partition,
                                    .order = BATCH_SHUFFLED,
                                    .length = options->length,
                                    .rows = options->rows,
                                    .micros = 1,
                                    .seed = options->seed};
    TRY(batcher_open(&s->batcher, corpus, &batches, trace));
    batch_init(&s->batch, options->rows, options->length);
    TRY(scorer_prepare(s, trace));
    s->tokens = ARENA_ARRAY(s->arena, double, (size_t)s->classes.shape.vocab);
    return OK;
}

static void add_scores(struct scores *out, struct scorer *s)
{
    uint32_t vocabulary = (uint32_t)s->classes.shape.vocab;
    scorer_width_scores(out, s);
    scorer_depth_scores(out, s);
    float *counts = ARENA_ARRAY(s->arena, float, vocabulary);
    for (uint32_t i = 0; i < vocabulary; i++)
        counts[i] = (float)s->tokens[i];
    scores_add(out, s->arena, "vocab", counts, vocabulary);
}

enum status measure_score(struct scores *out, struct arena *arena, struct executor *executor,
                          const struct graph *model, const struct corpus *corpus,
                          const struct score_options *options, struct trace *trace)
{
    static const struct score_variant minitron = {SCORE_ACTIVATION, STATISTIC_L2, STATISTIC_MEAN};
    static const enum score_depth importance = DEPTH_BLOCK_IMPORTANCE;
    struct score_options filled = *options;
    if (filled.variant_count == 0)
        filled.variants = &minitron, filled.variant_count = 1;
    if (filled.depth_count == 0)
        filled.depths = &importance, filled.depth_count = 1;
    struct scorer s = {.arena = arena, .options = &filled, .model = model};
    enum status status = prepare(&s, corpus, trace);
    if (status == OK)
        status = run_all(&s, executor, trace);
    if (status == OK)
        add_scores(out, &s);
    batch_release(&s.batch);
    batcher_release(&s.batcher);
    return status;
}
