/* train, correct and distill: the same loop over other objectives. The loss of every step is an output beside
 * the model (the curve), so it is in the checkpoint too: a resumed run ends with the same bytes. */
#include "base/file.h"
#include "base/log.h"
#include "ir/build.h"
#include "pipeline/checkpoints.h"
#include "pipeline/key.h"
#include "pipeline/run.h"
#include "pipeline/stage.h"
#include "pipeline/training_data.h"
#include "pipeline/training_log.h"
#include "pipeline/training_models.h"
#include "pipeline/training_plan.h"
#include "store/key.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHECKPOINT_SECONDS = 60 };

/* Everything a training stage holds. */
struct training {
    struct stage_run *stage;
    struct training_models models;
    uint32_t steps, phase, first; /* to do: all, or as many as `stop` says; the phase, and its first step */
    struct training_data data;    /* of the phase, as what follows */
    struct trainer *trainer, *correction; /* the latter NULL where the teacher stays as it is */
    struct checkpoints checkpoints;
    const char *names[STEP_MAX_LOSSES];
    struct training_log log;
    float *curve; /* [steps]: loss of each step done */
    struct progress progress;
    double started, stepped;      /* when the stage began, when its last step ended */
    uint64_t tokens;              /* since it began */
    struct stage_lock lock;       /* of the stage that does all steps, whose checkpoints these are */
    uint32_t resumed_from, saved; /* steps that the first and the latest checkpoint have seen */
};

static void close_phase(struct training *t)
{
    trainer_destroy(t->trainer);
    trainer_destroy(t->correction);
    t->trainer = t->correction = NULL;
    training_data_release(&t->data);
}

static void release(struct training *t)
{
    close_phase(t);
    training_models_release(&t->models);
    stage_lock_release(&t->lock);
    training_log_close(&t->log);
    free(t->curve);
}

static enum status open_phase(struct training *t, struct trace *trace)
{
    const struct stage_entry *e = t->stage->entry;
    const struct settings *s = &e->settings;
    bool corrects = e->teacher_count > 0 && settings_real(s, "correct") > 0;
    struct executor *executor;
    t->first = training_first_step(e, t->phase);
    TRY(training_data_open(&t->data, t->stage, t->phase, t->models.student.tokenizer, t->models.kept, trace));
    TRY(stage_executor(&executor, t->stage, trace));
    struct trainer_spec spec = training_models_spec(&t->models, e, t->phase), correction = {0};
    spec.executor = executor;
    spec.source = training_data_source(&t->data);
    if (corrects) {
        correction = training_models_correction(&t->models, e, t->phase);
        correction.executor = executor;
        correction.source = spec.source;
    }
    if (settings_real(s, "memory") > 0)
        TRY(trainer_fit(&spec, corrects ? &correction : NULL, (int64_t)settings_real(s, "memory"), trace));
    if (corrects)
        TRY_WITH(trace, trainer_create(&t->correction, &correction, trace),
                 "while preparing to train the teacher");
    spec.correction = t->correction;
    return trainer_create(&t->trainer, &spec, trace);
}

/* A loss far above those before will not come back soon; the states of the last checkpoint have not seen it.
 */
static enum status check_spike(const struct training *t, const struct trainer_report *r, struct trace *trace)
{
    enum { WINDOW = 16 };
    double limit = settings_real(&t->stage->entry->settings, "guard"), mean = 0;
    if (limit == 0 || r->step - t->first < WINDOW)
        return OK;
    for (uint32_t i = 1; i <= WINDOW; i++)
        mean += (double)t->curve[r->step - i] / WINDOW;
    if ((double)r->loss <= limit * mean)
        return OK;
    return status_fail(
        trace, INVALID,
        "the loss of step %u is %.4g, more than %g times %.4g, the mean of the %d before; the last "
        "checkpoint is of step %u",
        r->step + 1, (double)r->loss, limit, mean, WINDOW, t->saved);
}

/* Each loss by its name, per unit of token weight and not times its own weight. */
static enum status log_step(struct training *t, const struct trainer_report *r, double tokens_per_second,
                            struct trace *trace)
{
    struct timespec now;
    json_t *losses = json_object();
    timespec_get(&now, TIME_UTC);
    for (uint32_t i = 0; i < trainer_step(t->trainer)->loss_count; i++)
        json_object_set_new(losses, t->names[i], json_real((double)r->losses[i]));
    if (t->correction)
        json_object_set_new(losses, "teacher", json_real((double)r->correction));
    json_t *line = json_pack("{s:I, s:f, s:f, s:f, s:o, s:f, s:f}", "step", (json_int_t)r->step + 1, "loss",
                             (double)r->loss, "rate", (double)r->rate, "gradient_norm",
                             (double)r->gradient_norm, "losses", losses, "tokens_per_s", tokens_per_second,
                             "time", (double)now.tv_sec + (double)now.tv_nsec * 1e-9);
    if (trainer_scale_count(t->trainer) > 0)
        json_object_set_new(line, "loss_scale", json_integer(r->loss_scale));
    return training_log_add(&t->log, line, trace);
}

static enum status report(void *payload, const struct trainer_report *r, struct trace *trace)
{
    struct training *t = payload;
    const struct stage_entry *e = t->stage->entry;
    char note[64];
    t->curve[r->step] = r->loss;
    snprintf(note, sizeof note, "loss %.4f", (double)r->loss);
    progress_update(&t->progress, r->step + 1, note);
    t->tokens +=
        (uint64_t)training_integer(e, t->phase, "batch") * (uint64_t)training_integer(e, t->phase, "length");
    double seconds = clock_seconds() - t->started;
    struct step_event event = {.entry = e,
                               .step = r->step + 1,
                               .steps = t->steps,
                               .loss = (double)r->loss,
                               .rate = (double)r->rate,
                               .norm = (double)r->gradient_norm};
    event.tokens_per_second = seconds > 0 ? (double)t->tokens / seconds : 0;
    double now = clock_seconds();
    profile_span(t->stage->run->options.profile,
                 &(struct profile_span){
                     .name = "step", .detail = t->stage->entry->name, .start = t->stepped, .end = now});
    t->stepped = now;
    const struct run_events *events = &t->stage->run->options.events;
    if (events->step)
        events->step(events->context, &event);
    TRY(log_step(t, r, event.tokens_per_second, trace));
    return check_spike(t, r, trace);
}

static enum status checkpoint(void *payload, struct trainer *trainer, struct trace *trace)
{
    struct training *t = payload;
    TRY(checkpoints_write(&t->checkpoints, trainer, t->curve, trace));
    t->saved = trainer_position(trainer);
    return OK;
}

static enum status open_log(struct training *t, struct trace *trace)
{
    struct arena *arena = &t->stage->arena;
    const char *folder = t->stage->run->options.events_folder;
    char *path, *events = folder ? path_join(folder, t->stage->entry->name) : NULL;
    for (uint32_t i = 0; i < trainer_step(t->trainer)->loss_count; i++)
        t->names[i] = losses_name(arena, t->models.losses, t->models.routes, i);
    enum status status = store_steps_path(&path, arena, stage_store(t->stage), t->checkpoints.key, trace);
    if (status == OK)
        status = training_log_open(&t->log, path, events, t->resumed_from, trace);
    free(events);
    return status;
}

static bool is_stopped(const struct training *t)
{
    return t->steps < settings_integer(&t->stage->entry->settings, "steps");
}

/* A stage that stops goes on from where one that stopped earlier left its states, and leaves its own: what is
 * computed does not depend on it. States from beyond `stop` are of no use, and are not written over. */
static enum status find_checkpoint(struct training *t, struct trace *trace)
{
    t->checkpoints = (struct checkpoints){.store = stage_store(t->stage), .key = t->stage->key};
    if (is_stopped(t)) {
        struct hash128 *whole = &t->checkpoints.key;
        TRY(key_make_unstopped(whole, t->stage->run, t->stage->number, trace));
        TRY(stage_lock_wait(&t->lock, stage_store(t->stage), *whole, stage_stop(t->stage), trace));
    }
    TRY(checkpoints_latest(&t->checkpoints, &t->resumed_from, trace));
    if (t->resumed_from <= t->steps)
        return OK;
    t->checkpoints.key = t->stage->key;
    return checkpoints_latest(&t->checkpoints, &t->resumed_from, trace);
}

/* The steps of a phase that are to do, from the latest checkpoint on. */
static enum status train_phase(struct training *t, struct trace *trace)
{
    const struct settings *s = &t->stage->entry->settings;
    uint32_t end = t->first + (uint32_t)training_integer(t->stage->entry, t->phase, "steps");
    if (t->first > 0 || t->resumed_from > 0)
        TRY(checkpoints_resume(&t->checkpoints, t->trainer, t->curve, trace));
    if (!t->log.lines)
        TRY(open_log(t, trace));
    struct trainer_hooks hooks = {.report = report,
                                  .checkpoint = checkpoint,
                                  .payload = t,
                                  .end = end < (uint32_t)settings_integer(s, "steps") ? TRAINER_GOES_ON
                                                                                      : TRAINER_ENDS,
                                  .stop = t->steps,
                                  .checkpoint_steps = (uint32_t)settings_integer(s, "checkpoint"),
                                  .checkpoint_seconds = CHECKPOINT_SECONDS,
                                  .interrupted = stage_stop(t->stage)};
    return trainer_run(t->trainer, &hooks, trace);
}

/* What the record says of the scale of the loss, where there is one. */
static void record_scale(struct training *t)
{
    if (!t->trainer || trainer_scale_count(t->trainer) == 0)
        return;
    const struct loss_scale *scale = trainer_scale(t->trainer, 0);
    json_object_set_new(t->stage->record, "loss_scale", json_integer(scale->factor));
    json_object_set_new(t->stage->record, "steps_run_again", json_integer(scale->again));
}

/* Phase by phase. The states go from one to the next by a checkpoint, as if the run had been stopped between.
 */
static enum status train_phases(struct training *t, struct trace *trace)
{
    const struct stage_entry *e = t->stage->entry;
    for (t->phase = 0; t->phase < training_phases(e); t->phase++) {
        uint32_t first = training_first_step(e, t->phase), end = training_first_step(e, t->phase + 1);
        if (end <= t->resumed_from && end < t->steps)
            continue;
        if (first >= t->steps)
            break;
        close_phase(t);
        TRY(open_phase(t, trace));
        TRY(train_phase(t, trace));
    }
    return OK;
}

static enum status train(struct training *t, struct trace *trace)
{
    t->curve = calloc(t->steps, sizeof *t->curve);
    if (!t->curve)
        BUG("out of memory");
    TRY(find_checkpoint(t, trace));
    t->saved = t->resumed_from;
    json_object_set_new(t->stage->record, "resumed_from", json_integer(t->resumed_from));
    if (t->resumed_from > 0)
        log_note("%s: going on from the checkpoint of step %u", t->stage->entry->name, t->resumed_from);
    progress_start(&t->progress, t->stage->entry->name, "steps", t->resumed_from, t->steps);
    t->started = t->stepped = clock_seconds();
    enum status status = train_phases(t, trace);
    record_scale(t);
    progress_finish(&t->progress);
    double seconds = clock_seconds() - t->started;
    json_object_set_new(t->stage->record, "tokens_per_s",
                        json_real(seconds > 0 ? (double)t->tokens / seconds : 0));
    return status;
}

/* Reads a trained weight back and stores it, one at a time. */
static enum status store_weight(struct training *t, struct graph *graph, struct trainer_state state,
                                uint32_t index, struct trace *trace)
{
    const struct parameter *parameter = &trainer_step(t->trainer)->parameters.items[state.parameter];
    struct tensor *tensor = &graph->tensors.items[parameter->tensor];
    float *weights = malloc((size_t)state.count * sizeof *weights);
    if (!weights)
        BUG("out of memory");
    enum status status = trainer_state_read(t->trainer, index, 0, state.count, weights, trace);
    if (status == OK)
        status = store_put_tensor(&tensor->id, stage_store(t->stage), dtype_name(DTYPE_F32),
                                  tensor->view.rank, tensor->view.dims, weights, trace);
    tensor->has_id = status == OK;
    tensor->view.dtype = DTYPE_F32;
    free(weights);
    return status;
}

static enum status store_trained(struct training *t, struct trace *trace)
{
    struct graph *graph = graph_clone(t->models.student.graph);
    enum status status = OK;
    for (uint32_t i = 0; i < trainer_state_count(t->trainer) && status == OK; i++) {
        struct trainer_state state = trainer_state(t->trainer, i);
        bool is_student = state.of == t->trainer &&
                          trainer_step(t->trainer)->parameters.items[state.parameter].tensor != ID_NONE;
        if (state.kind == STATE_WEIGHT && is_student)
            status = store_weight(t, graph, state, i, trace);
    }
    if (status == OK)
        status = stage_add_model(t->stage, graph, model_tokenizer_text(&t->models.student), trace);
    graph_destroy(graph);
    return status;
}

/* One loss a line, with the digits that give the float back. */
static enum status store_curve(struct training *t, struct trace *trace)
{
    struct builder text = {0};
    for (uint32_t i = 0; i < t->steps; i++)
        builder_printf(&text, "%.9g\n", (double)t->curve[i]);
    enum status status =
        stage_add_text(t->stage, "curve", "curve", (struct str){text.data, text.length}, trace);
    builder_release(&text);
    return status;
}

static enum status run_training(struct stage_run *stage, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    int64_t stop = settings_integer(s, "stop"), steps = settings_integer(s, "steps");
    struct training t = {.stage = stage, .steps = (uint32_t)(stop > 0 && stop < steps ? stop : steps)};
    enum status status = training_models_open(&t.models, stage, trace);
    if (status == OK)
        status = train(&t, trace);
    if (status == OK)
        status = store_trained(&t, trace);
    if (status == OK)
        status = store_curve(&t, trace);
    if (status == OK && hash128_equal(t.checkpoints.key, stage->key))
        status = checkpoints_remove(&t.checkpoints, trace);
    release(&t);
    return status;
}

enum status stage_train(struct stage_run *stage, struct trace *trace)
{
    return run_training(stage, trace);
}

enum status stage_correct(struct stage_run *stage, struct trace *trace)
{
    return run_training(stage, trace);
}

enum status stage_distill(struct stage_run *stage, struct trace *trace)
{
    return run_training(stage, trace);
}
