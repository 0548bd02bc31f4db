/* Settings as the specification of a trainer. */
#include "pipeline/training_models.h"
#include "pipeline/run.h"
#include "pipeline/training_plan.h"
#include <string.h>

/* The route before this one that has the same teacher, or `route`. */
static uint32_t same_teacher(const struct stage_entry *entry, uint32_t route)
{
    uint32_t first = 0;
    while (entry->teachers[first].stage != entry->teachers[route].stage)
        first++;
    return first;
}

static bool is_kept(const struct stage_run *stage, uint32_t route)
{
    const struct stage_entry *from = &stage->run->pipeline.stages.items[stage->entry->teachers[route].stage];
    return strcmp(from->kind->name, "teach") == 0;
}

static enum status open_teacher(struct training_models *m, struct stage_run *stage, uint32_t route,
                                struct trace *trace)
{
    const struct stage_entry *e = stage->entry;
    uint32_t from = e->teachers[route].stage, first = same_teacher(e, route);
    if (is_kept(stage, route))
        return targets_reader_open(&m->kept[route], stage, from, trace);
    if (first == route)
        TRY(stage_model(&m->teachers[route], stage, from, trace));
    m->graphs[route] = m->teachers[first].graph;
    return OK;
}

static enum status read_losses(struct training_models *m, struct stage_run *stage, uint32_t route,
                               struct trace *trace)
{
    const struct stage_entry *e = stage->entry;
    struct teacher_source teacher = {0};
    if (e->teacher_count > 0 && m->kept[route].from)
        teacher.kept = &m->kept[route].info;
    else if (e->teacher_count > 0)
        teacher.model = &m->teachers[same_teacher(e, route)];
    enum status status = losses_read(&m->losses[route], &stage->arena, &e->settings, &m->student,
                                     e->teacher_count > 0 ? &teacher : NULL, trace);
    if (status != OK && e->teacher_count > 1)
        trace_add(trace, "with the teacher of \"%s\"", e->teachers[route].tag);
    return status;
}

enum status training_models_open(struct training_models *out, struct stage_run *stage, struct trace *trace)
{
    const struct stage_entry *e = stage->entry;
    *out = (struct training_models){.routes = e->teacher_count > 0 ? e->teacher_count : 1};
    TRY(stage_model(&out->student, stage, e->model, trace));
    for (uint32_t i = 0; i < e->teacher_count; i++)
        TRY_WITH(trace, open_teacher(out, stage, i, trace), "while opening the teacher");
    for (uint32_t i = 0; i < out->routes; i++)
        TRY(read_losses(out, stage, i, trace));
    return OK;
}

void training_models_release(struct training_models *models)
{
    for (uint32_t i = 0; i < STEP_MAX_ROUTES; i++) {
        model_release(&models->teachers[i]);
        targets_reader_release(&models->kept[i]);
    }
    model_release(&models->student);
}

static enum step_decays decays_of(const struct settings *s)
{
    const char *word = settings_text(s, "optimizer.decays");
    return strcmp(word, "all") == 0      ? DECAYS_ALL
           : strcmp(word, "hidden") == 0 ? DECAYS_HIDDEN
                                         : DECAYS_MATRICES;
}

static struct schedule schedule_of(const struct stage_entry *e, uint32_t phase, double peak)
{
    const char *name = training_text(e, phase, "schedule");
    struct schedule schedule = {.warmup = (uint32_t)training_integer(e, phase, "schedule.warmup"),
                                .steps = (uint32_t)training_integer(e, phase, "steps"),
                                .peak = (float)peak};
    if (!schedule_from_name(str_from(name), &schedule.kind))
        BUG("schedule %s is in settings.def but not in schedules.def", name);
    uint32_t after = schedule.steps - schedule.warmup;
    uint32_t decay = (uint32_t)(training_real(e, phase, "schedule.decay") * schedule.steps + 0.5);
    schedule.decay = decay < after ? decay : after;
    schedule.final = schedule.peak * (float)training_real(e, phase, "schedule.floor");
    return schedule;
}

static struct trainer_spec plain_spec(const struct stage_entry *e, uint32_t phase, double peak)
{
    const struct settings *s = &e->settings;
    return (struct trainer_spec){
        .step = {.recomputes = settings_integer(s, "recompute") != 0,
                 .decays = decays_of(s),
                 .micro = training_integer(e, phase, "micro"),
                 .length = training_integer(e, phase, "length"),
                 .lanes = (uint32_t)settings_integer(s, "lanes")},
        .batch = (uint32_t)training_integer(e, phase, "batch"),
        .schedule = schedule_of(e, phase, peak),
        .first = training_first_step(e, phase),
        .adamw = {.beta1 = (float)settings_real(s, "optimizer.beta1"),
                  .beta2 = (float)settings_real(s, "optimizer.beta2"),
                  .epsilon = (float)settings_real(s, "optimizer.epsilon"),
                  .decay = (float)settings_real(s, "optimizer.decay"),
                  .max_norm = (float)settings_real(s, "optimizer.clip")},
        .loss_scale = {.first = (uint32_t)settings_integer(s, "optimizer.loss_scale"),
                       .steps = (uint32_t)settings_integer(s, "optimizer.loss_scale_steps")}};
}

struct trainer_spec training_models_spec(const struct training_models *models, const struct stage_entry *e,
                                         uint32_t phase)
{
    struct trainer_spec spec = plain_spec(e, phase, training_rate(e, phase));
    spec.step.student = models->student.graph;
    spec.step.route_count = models->routes;
    for (uint32_t i = 0; i < models->routes; i++)
        spec.step.routes[i] = (struct step_route){.teachers = &models->graphs[i],
                                                  .teacher_count = models->graphs[i] != NULL,
                                                  .objectives = models->losses[i].objectives,
                                                  .objective_count = models->losses[i].objective_count,
                                                  .kept = models->kept[i].info.form.kept,
                                                  .vocabulary = models->losses[i].vocabulary,
                                                  .states = models->losses[i].states};
    return spec;
}

struct trainer_spec training_models_correction(const struct training_models *models,
                                               const struct stage_entry *e, uint32_t phase)
{
    static const struct objective next_token = {.kind = OBJECTIVE_ce, .weight = 1};
    struct trainer_spec spec = plain_spec(e, phase, settings_real(&e->settings, "correct"));
    spec.step.student = models->graphs[0];
    spec.step.routes[0] = (struct step_route){.objectives = &next_token, .objective_count = 1};
    return spec;
}
