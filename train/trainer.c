/* The loop over steps. */
#include "train/trainer.h"
#include "base/log.h"
#include "shaders/scalar/scalar.h"
#include "train/step_memory.h"
#include "train/trainer_state.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

static void fill_from_batcher(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    batcher_fill(payload, step, micro, out);
}

struct trainer_source trainer_source_of_batcher(struct batcher *batcher)
{
    return (struct trainer_source){.fill = fill_from_batcher, .payload = batcher};
}

static enum status check(const struct trainer_spec *spec, struct trace *trace)
{
    int64_t unit = spec->step.micro * spec->step.lanes;
    TRY(schedule_check(&spec->schedule, trace));
    TRY(adamw_check(&spec->adamw, trace));
    if (spec->batch == 0 || spec->batch % unit != 0)
        return status_fail(trace, INVALID,
                           "expected a batch that is a multiple of micro times lanes (%" PRId64
                           "), found %" PRIu32,
                           unit, spec->batch);
    return OK;
}

/* Losses of states that are scaled like the teacher's divergences come to as much as those: that is their
 * part of the sum. */
static void weigh_losses(struct trainer *t, const struct step_spec *spec)
{
    const struct step_route *route = &spec->routes[0];
    bool doubles = route->states.count > 0 && route->states.scale == STATE_DYNAMIC;
    for (uint32_t i = 0; i < route->objective_count; i++) {
        const struct objective *objective = &route->objectives[i];
        bool is_divergence = (objective_table[objective->kind].needs & OBJECTIVE_NEEDS_TEACHER) != 0;
        t->weights[i] = doubles && is_divergence ? objective->weight + objective->weight : objective->weight;
    }
    for (uint32_t i = 0; i < route->states.count; i++)
        t->weights[route->objective_count + i] = doubles ? 0 : route->states.pairs[i].weight;
}

static enum status add_memory(int64_t *bytes, const struct step_spec *spec, enum step_teachers teachers,
                              struct trace *trace)
{
    struct step step;
    int64_t more = 0;
    TRY(step_build(&step, spec, trace));
    enum status status = step_memory(&more, &step, teachers, trace);
    step_release(&step);
    *bytes += more;
    return status;
}

enum status trainer_fit(struct trainer_spec *spec, struct trainer_spec *correction, int64_t bytes,
                        struct trace *trace)
{
    int64_t needed = 0;
    if (spec->step.recomputes)
        return OK;
    TRY(add_memory(&needed, &spec->step, correction ? STEP_FIRST_TEACHER_LENT : STEP_TEACHERS_OWN, trace));
    if (correction)
        TRY_WITH(trace, add_memory(&needed, &correction->step, STEP_TEACHERS_OWN, trace),
                 "while preparing to train the teacher");
    if (needed <= bytes)
        return OK;
    log_note("a step takes about %" PRId64 " MiB, more than %" PRId64 ": activations are recomputed",
             needed >> 20, bytes >> 20);
    spec->step.recomputes = true;
    if (correction)
        correction->step.recomputes = true;
    return OK;
}

enum status trainer_create(struct trainer **out, const struct trainer_spec *spec, struct trace *trace)
{
    struct step step;
    TRY(step_build(&step, &spec->step, trace)); /* checks micro, length and lanes */
    enum status status = check(spec, trace);
    if (status != OK) {
        step_release(&step);
        return status;
    }
    struct trainer *t = calloc(1, sizeof *t);
    if (!t)
        BUG("out of memory");
    t->executor = spec->executor;
    t->step = step;
    t->schedule = spec->schedule;
    t->adamw = spec->adamw;
    loss_scale_start(&t->scale, &spec->loss_scale, spec->executor->operands);
    t->source = spec->source;
    t->correction = spec->correction;
    t->first = t->position = spec->first;
    t->lanes = spec->step.lanes;
    t->micros = spec->batch / (uint32_t)spec->step.micro;
    weigh_losses(t, &spec->step);
    batch_init(&t->batch, (uint32_t)spec->step.micro, (uint32_t)spec->step.length);
    status = trainer_prepare(t, &spec->step, trace);
    if (status != OK) {
        trainer_destroy(t);
        return status;
    }
    *out = t;
    return OK;
}

void trainer_destroy(struct trainer *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < STEP_MAX_ROUTES; i++) {
        executor_program_destroy(t->executor, t->routes[i]);
        targets_release(&t->kept[i]);
    }
    executor_program_destroy(t->executor, t->fold);
    executor_program_destroy(t->executor, t->update);
    for (uint32_t i = 0; i < t->owned.count; i++)
        executor_tensor_destroy(t->executor, t->owned.items[i]);
    batch_release(&t->batch);
    step_release(&t->step);
    arena_release(&t->arena);
    free(t);
}

uint32_t trainer_position(const struct trainer *t)
{
    return t->position;
}

const struct step *trainer_step(const struct trainer *t)
{
    return &t->step;
}

/* The step that is this trainer's last, and one more. */
static uint32_t end_of(const struct trainer *t)
{
    return t->first + t->schedule.steps;
}

enum status trainer_resume(struct trainer *t, uint32_t position, struct trace *trace)
{
    if (position < t->first || position > end_of(t))
        return status_fail(trace, INVALID,
                           "the checkpoint has seen %" PRIu32 " steps, the run goes from %" PRIu32
                           " to %" PRIu32,
                           position, t->first, end_of(t));
    t->position = position;
    return t->correction ? trainer_resume(t->correction, position, trace) : OK;
}

static enum status write_kept(struct trainer *t, uint32_t route, uint32_t micro, struct trace *trace)
{
    struct targets *kept = &t->kept[route];
    int64_t tokens = kept->tokens, count = tokens * kept->kept;
    if (count == 0)
        return OK;
    TRY(t->source.kept(t->source.payload, t->position - t->first, micro, kept, trace));
    TRY(executor_tensor_write(t->executor, t->tensors[SLOT_KEPT_IDS][route], 0, count, kept->ids, trace));
    TRY(executor_tensor_write(t->executor, t->tensors[SLOT_KEPT_LOGS][route], 0, count, kept->logs, trace));
    return executor_tensor_write(t->executor, t->tensors[SLOT_KEPT_REST][route], 0, tokens, kept->rest,
                                 trace);
}

static enum status run_micro(struct trainer *t, uint32_t micro, const volatile sig_atomic_t *interrupted,
                             double *weight, struct trace *trace)
{
    struct batch *batch = &t->batch;
    int64_t tokens = (int64_t)batch->rows * batch->length;
    t->source.fill(t->source.payload, t->position - t->first, micro, batch);
    uint32_t route = t->step.route_count > 1 ? batch->tags[0] : 0;
    assert(route < t->step.route_count);
    for (int64_t i = 0; i < tokens; i++) {
        *weight += batch->weights[i];
        batch->weights[i] *= (float)t->scale.factor; /* exact */
    }
    TRY(executor_tensor_write(t->executor, t->tensors[SLOT_TOKENS][0], 0, tokens, batch->ids, trace));
    TRY(executor_tensor_write(t->executor, t->tensors[SLOT_LABELS][0], 0, tokens, batch->labels, trace));
    TRY(executor_tensor_write(t->executor, t->tensors[SLOT_WEIGHTS][0], 0, tokens, batch->weights, trace));
    TRY_WITH(trace, write_kept(t, route, micro, trace),
             "while reading what a teacher said of micro-batch %" PRIu32, micro);
    t->executor->stop = interrupted; /* sums alone are lost: see run_step() */
    enum status status = executor_run(t->executor, t->routes[route], trace);
    t->executor->stop = NULL;
    if (status != OK)
        trace_add(trace, "while running micro-batch %" PRIu32, micro);
    return status;
}

static bool is_interrupted(const struct trainer_hooks *hooks)
{
    return hooks->interrupted && *hooks->interrupted;
}

/* All micro-batches of a step; INTERRUPTED leaves the states as they were before it. */
static enum status run_micros(struct trainer *t, const struct trainer_hooks *hooks, float *weight,
                              struct trace *trace)
{
    double sum = 0; /* of weights, exact for any weights that are whole */
    uint32_t share = t->micros / t->lanes;
    t->sums = SUMS_USED;
    for (uint32_t lane = 0; lane < t->lanes; lane++) {
        for (uint32_t i = 0; i < share; i++) {
            if (is_interrupted(hooks))
                return status_fail(trace, INTERRUPTED, "interrupted");
            TRY(run_micro(t, lane * share + i, hooks->interrupted, &sum, trace));
        }
        if (t->fold)
            TRY_WITH(trace, executor_run(t->executor, t->fold, trace), "while folding lane %" PRIu32, lane);
    }
    *weight = (float)sum;
    if (!(*weight > 0))
        return status_fail(trace, INVALID, "no token of the batch has a weight");
    return OK;
}

/* All micro-batches, again with a smaller scale of the loss where half precision overflows. */
static enum status run_scaled_micros(struct trainer *t, const struct trainer_hooks *hooks, float *weight,
                                     struct trace *trace)
{
    enum status status = run_micros(t, hooks, weight, trace);
    while (status == NOT_FINITE && loss_scale_halve(&t->scale)) {
        log_detail("step %" PRIu32 " overflows: again with its loss times %" PRIu32, t->position + 1,
                   t->scale.factor);
        TRY(trainer_clear_sums(t, trace));
        status = run_micros(t, hooks, weight, trace);
    }
    return status;
}

/* The losses of the step, and zero for the next. */
static enum status read_losses(struct trainer *t, struct trainer_report *report, float scaled_weight,
                               struct trace *trace)
{
    for (uint32_t i = 0; i < t->step.loss_count; i++) {
        const float zero = 0;
        float sum;
        uint32_t tensor = t->tensors[SLOT_TOTAL][t->step.parameters.count + i];
        TRY(executor_tensor_read(t->executor, tensor, 0, 1, &sum, trace));
        TRY(executor_tensor_write(t->executor, tensor, 0, 1, &zero, trace));
        report->losses[i] = gm_flush(gm_div(sum, scaled_weight));
        report->loss = gm_flush(report->loss + gm_flush(report->losses[i] * t->weights[i]));
    }
    if (!gm_is_finite(report->loss))
        return status_fail(trace, NOT_FINITE, "the loss is not finite");
    return OK;
}

/* What follows the micro-batches of a step: its losses, and the update. */
static enum status finish_step(struct trainer *t, struct trainer_report *report, struct trace *trace)
{
    float scaled_weight = report->weight * (float)t->scale.factor;
    report->loss_scale = t->scale.factor;
    TRY(read_losses(t, report, scaled_weight, trace));
    float hyper[HYPER_SIZE], clip[2];
    report->rate = schedule_rate(&t->schedule, t->position - t->first);
    adamw_hyper(hyper, &t->adamw, report->rate, t->position, scaled_weight);
    TRY(executor_tensor_write(t->executor, t->tensors[SLOT_HYPER][0], 0, HYPER_SIZE, hyper, trace));
    TRY_WITH(trace, executor_run(t->executor, t->update, trace), "while updating the weights");
    TRY(executor_tensor_read(t->executor, t->tensors[SLOT_CLIP][0], 0, 2, clip, trace));
    report->gradient_norm = clip[1];
    if (!gm_is_finite(clip[0]) || !gm_is_finite(clip[1]))
        return status_fail(trace, NOT_FINITE, "the gradient is not finite");
    t->sums = SUMS_CLEAR;
    t->position++;
    loss_scale_keep(&t->scale);
    return OK;
}

/* All gradients are there before the first weight changes: what an interruption leaves is a step's beginning.
 */
static enum status run_step(struct trainer *t, const struct trainer_hooks *hooks,
                            struct trainer_report *report, struct trace *trace)
{
    struct trainer_report of_teacher = {.step = t->position};
    *report = (struct trainer_report){.step = t->position};
    TRY(run_scaled_micros(t, hooks, &report->weight, trace));
    if (t->correction)
        TRY_WITH(trace, run_scaled_micros(t->correction, hooks, &of_teacher.weight, trace),
                 "while training the teacher");
    TRY(finish_step(t, report, trace));
    if (t->correction)
        TRY_WITH(trace, finish_step(t->correction, &of_teacher, trace), "while training the teacher");
    report->correction = of_teacher.loss;
    return OK;
}

/* Where this run ends: at the schedule's end, or before. */
static uint32_t last_step(const struct trainer *t, const struct trainer_hooks *hooks)
{
    return hooks->stop && hooks->stop < end_of(t) ? hooks->stop : end_of(t);
}

struct due {
    uint32_t step;
    double time;
};

static bool is_checkpoint_due(const struct trainer *t, const struct trainer_hooks *hooks,
                              const struct due *last)
{
    if (t->position == last_step(t, hooks) || t->position == last->step)
        return false;
    if (hooks->checkpoint_steps && t->position - last->step >= hooks->checkpoint_steps)
        return true;
    return hooks->checkpoint_seconds > 0 && clock_seconds() - last->time >= hooks->checkpoint_seconds;
}

static enum status save(struct trainer *t, const struct trainer_hooks *hooks, struct trace *trace)
{
    if (!hooks->checkpoint)
        return OK;
    TRY_WITH(trace, hooks->checkpoint(hooks->payload, t, trace),
             "while saving the state after %" PRIu32 " steps", t->position);
    return OK;
}

enum status trainer_run(struct trainer *t, const struct trainer_hooks *hooks, struct trace *trace)
{
    struct due last = {t->position, clock_seconds()};
    if (t->sums == SUMS_USED)
        TRY(trainer_clear_sums(t, trace));
    if (t->correction && t->correction->sums == SUMS_USED)
        TRY(trainer_clear_sums(t->correction, trace));
    uint32_t first = t->position;
    while (t->position < last_step(t, hooks)) {
        struct trainer_report report;
        enum status status = run_step(t, hooks, &report, trace);
        if (status == INTERRUPTED) {
            TRY(save(t, hooks, trace));
            return status_fail(trace, INTERRUPTED, "interrupted after %" PRIu32 " of %" PRIu32 " steps",
                               t->position, end_of(t));
        }
        if (status != OK) {
            trace_add(trace, "while training step %" PRIu32 " of %" PRIu32, t->position, end_of(t));
            return status;
        }
        if (hooks->report)
            TRY(hooks->report(hooks->payload, &report, trace));
        if (is_checkpoint_due(t, hooks, &last)) {
            TRY(save(t, hooks, trace));
            last = (struct due){t->position, clock_seconds()};
        }
    }
    bool goes_on = first < t->position && (hooks->end == TRAINER_GOES_ON || t->position < end_of(t));
    return goes_on ? save(t, hooks, trace) : OK;
}
