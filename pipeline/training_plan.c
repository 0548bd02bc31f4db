/* Every mistake that the file alone shows is found here, before anything runs. */
#include "pipeline/training_plan.h"
#include "data/mixture.h"
#include "train/step.h"
#include <string.h>

bool training_plan_is_for(const struct stage_entry *stage)
{
    static const char *const kinds[] = {"train", "correct", "distill"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(stage->kind->name, kinds[i]) == 0)
            return true;
    return false;
}

/* ---- phases ---- */

uint32_t training_phases(const struct stage_entry *stage)
{
    return stage->phase_count > 0 ? stage->phase_count : 1;
}

static const struct settings *settings_with(const struct stage_entry *stage, uint32_t phase, const char *key)
{
    bool is_own = stage->phase_count > 0 && settings_has(&stage->phases[phase].settings, key);
    return is_own ? &stage->phases[phase].settings : &stage->settings;
}

int64_t training_integer(const struct stage_entry *stage, uint32_t phase, const char *key)
{
    return settings_integer(settings_with(stage, phase, key), key);
}

double training_real(const struct stage_entry *stage, uint32_t phase, const char *key)
{
    return settings_real(settings_with(stage, phase, key), key);
}

const char *training_text(const struct stage_entry *stage, uint32_t phase, const char *key)
{
    return settings_text(settings_with(stage, phase, key), key);
}

double training_rate(const struct stage_entry *stage, uint32_t phase)
{
    bool is_own = stage->phase_count > 0 && settings_has(&stage->phases[phase].settings, "lr");
    return is_own ? settings_real(&stage->phases[phase].settings, "lr")
                  : settings_real(&stage->settings, "optimizer.lr");
}

const struct data_source *training_sources(uint32_t *count, const struct stage_entry *stage, uint32_t phase)
{
    bool is_own = stage->phase_count > 0 && stage->phases[phase].sources;
    *count = is_own ? stage->phases[phase].source_count : stage->source_count;
    return is_own ? stage->phases[phase].sources : stage->sources;
}

uint32_t training_first_step(const struct stage_entry *stage, uint32_t phase)
{
    uint32_t first = 0; /* also where the last one ends */
    for (uint32_t i = 0; i < phase; i++)
        first += (uint32_t)training_integer(stage, i, "steps");
    return first;
}

const char *training_tag(const struct pipeline *pipeline, uint32_t input)
{
    const struct input_entry *entry = &pipeline->inputs.items[input];
    return settings_has(&entry->settings, "tag") ? settings_text(&entry->settings, "tag") : entry->name;
}

/* ---- reading ---- */

struct planner {
    struct stage_entry *stage;
    struct pipeline *pipeline;
    struct trace *trace;
};

static enum status fail_at(const struct planner *p, const struct setting_pair *at, const char *key,
                           const char *message)
{
    struct yaml_value place = {.line = at->line, .column = at->column};
    return yaml_fail(p->trace, p->pipeline->path, &place, "%s: %s", key, message);
}

static const char *text_of(const struct planner *p, const char *format, const char *name)
{
    return arena_printf(&p->pipeline->arena, format, name);
}

static enum status read_share(struct planner *p, const struct setting_pair *pair, uint32_t *out)
{
    int64_t share = 1;
    if (pair->key && (!str_to_i64(str_from(pair->value), &share) || share < 1 || share > MIXTURE_MAX_SHARE))
        return fail_at(p, pair, "data",
                       arena_printf(&p->pipeline->arena, "expected a share from 1 to %d, found \"%s\"",
                                    MIXTURE_MAX_SHARE, pair->value));
    *out = (uint32_t)share;
    return OK;
}

/* Which teacher the samples of an input go to. */
static enum status find_route(struct planner *p, const struct setting_pair *pair, uint32_t input,
                              uint32_t *out)
{
    const struct stage_entry *stage = p->stage;
    const char *tag = training_tag(p->pipeline, input);
    *out = 0;
    if (stage->teacher_count == 0 || !stage->teachers[0].tag)
        return OK;
    for (uint32_t i = 0; i < stage->teacher_count; i++)
        if (strcmp(stage->teachers[i].tag, tag) == 0) {
            *out = i;
            return OK;
        }
    return fail_at(p, pair, "data", text_of(p, "there is no teacher for the tag \"%s\"", tag));
}

static enum status read_sources(struct planner *p, const struct settings *s, const struct data_source **out,
                                uint32_t *count)
{
    const struct setting *data = settings_get(s, "data");
    struct data_source *sources = ARENA_ARRAY(&p->pipeline->arena, struct data_source, data->pair_count);
    if (data->pair_count > MIXTURE_MAX)
        return settings_fail(s, "data", p->trace, "more than %d inputs", MIXTURE_MAX);
    for (uint32_t i = 0; i < data->pair_count; i++) {
        const struct setting_pair *pair = &data->pairs[i];
        const char *name = pair->key ? pair->key : pair->value;
        sources[i].input = pipeline_find_input(p->pipeline, name);
        if (sources[i].input == STAGE_NONE)
            return fail_at(p, pair, "data", text_of(p, "no input is called \"%s\"", name));
        if (!settings_has(&p->pipeline->inputs.items[sources[i].input].settings, "text"))
            return fail_at(p, pair, "data", text_of(p, "input \"%s\" has no text", name));
        TRY(read_share(p, pair, &sources[i].share));
        TRY(find_route(p, pair, sources[i].input, &sources[i].route));
    }
    *out = sources;
    *count = data->pair_count;
    return OK;
}

static enum status read_teachers(struct planner *p)
{
    struct stage_entry *stage = p->stage;
    if (strcmp(stage->kind->name, "distill") != 0)
        return OK;
    const struct setting *setting = settings_get(&stage->settings, "teacher");
    if (setting->pair_count > STEP_MAX_ROUTES)
        return settings_fail(&stage->settings, "teacher", p->trace, "more than %d teachers", STEP_MAX_ROUTES);
    struct stage_teacher *teachers =
        ARENA_ARRAY(&p->pipeline->arena, struct stage_teacher, setting->pair_count);
    for (uint32_t i = 0; i < setting->pair_count; i++) {
        const struct setting_pair *pair = &setting->pairs[i];
        uint32_t number = pipeline_find_stage(p->pipeline, pair->value);
        if (number == STAGE_NONE)
            return fail_at(p, pair, "teacher", text_of(p, "no stage above is called \"%s\"", pair->value));
        const struct stage_entry *found = &p->pipeline->stages.items[number];
        bool gives = found->kind->makes_model || strcmp(found->kind->name, "teach") == 0;
        teachers[i] = (struct stage_teacher){pair->key, gives ? number : found->model};
    }
    stage->teachers = teachers;
    stage->teacher_count = setting->pair_count;
    return OK;
}

static enum status read_phases(struct planner *p)
{
    struct stage_entry *stage = p->stage;
    const struct yaml_value *map = stage->settings.at;
    const struct yaml_value *list = map->kind == YAML_MAP ? yaml_find(map, "phases") : NULL;
    if (!list)
        return OK;
    if (list->kind != YAML_LIST || list->count == 0)
        return yaml_fail_expected(p->trace, p->pipeline->path, list, "phases", "a list of maps of settings");
    struct stage_phase *phases = ARENA_ARRAY(&p->pipeline->arena, struct stage_phase, list->count);
    int64_t steps = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        TRY_WITH(p->trace,
                 settings_read(&phases[i].settings, &p->pipeline->arena, "phase", list->items[i], NULL,
                               p->pipeline->path, p->trace),
                 "while reading phase %u", i + 1);
        if (settings_has(&phases[i].settings, "data"))
            TRY(read_sources(p, &phases[i].settings, &phases[i].sources, &phases[i].source_count));
        steps += settings_integer(&phases[i].settings, "steps");
    }
    if (settings_get(&stage->settings, "steps")->is_given)
        return settings_fail(&stage->settings, "steps", p->trace, "phases say how many steps there are");
    if (steps > 1000000000)
        return settings_fail(&stage->settings, "steps", p->trace,
                             "phases of more than 1000000000 steps in all");
    settings_set_integer(&stage->settings, &p->pipeline->arena, "steps", steps);
    stage->phases = phases;
    stage->phase_count = list->count;
    return OK;
}

static enum status demand(struct planner *p, const char *key)
{
    const struct settings *s = &p->stage->settings;
    if (settings_has(s, key))
        return OK;
    return yaml_fail(p->trace, p->pipeline->path, s->at, "%s needs the setting \"%s\" (%s)", s->kind, key,
                     settings_get(s, key)->info->summary);
}

static enum status demand_data(struct planner *p)
{
    bool all_have = p->stage->phase_count > 0;
    for (uint32_t i = 0; i < p->stage->phase_count; i++)
        all_have = all_have && p->stage->phases[i].sources;
    return all_have ? OK : demand(p, "data");
}

/* ---- checks ---- */

static enum status check_phase(const struct planner *p, uint32_t phase)
{
    const struct stage_entry *stage = p->stage;
    int64_t batch = training_integer(stage, phase, "batch"), micro = training_integer(stage, phase, "micro");
    int64_t lanes = settings_integer(&stage->settings, "lanes"),
            steps = training_integer(stage, phase, "steps");
    int64_t warmup = training_integer(stage, phase, "schedule.warmup");
    if (batch % micro != 0)
        return settings_fail(settings_with(stage, phase, "micro"), "micro", p->trace,
                             "%lld does not divide the batch of %lld", (long long)micro, (long long)batch);
    if (batch / micro % lanes != 0)
        return settings_fail(&stage->settings, "lanes", p->trace,
                             "%lld does not divide the %lld micro-batches of a step", (long long)lanes,
                             (long long)(batch / micro));
    if (warmup >= steps && warmup > 0)
        return settings_fail(settings_with(stage, phase, "schedule.warmup"), "schedule.warmup", p->trace,
                             "warm-up must be shorter than the %lld steps", (long long)steps);
    return OK;
}

static enum status check_losses(const struct planner *p)
{
    const struct settings *s = &p->stage->settings;
    if (strcmp(s->kind, "distill") != 0)
        return settings_real(s, "loss.ce") > 0
                   ? OK
                   : settings_fail(s, "loss.ce", p->trace, "nothing to minimise: ce is 0");
    const char *logits = settings_text(s, "loss.logits");
    if (strcmp(logits, "none") == 0 && settings_real(s, "loss.ce") == 0)
        return settings_fail(s, "loss.logits", p->trace, "nothing to minimise: logits is none and ce is 0");
    if (strcmp(logits, "none") != 0 && settings_real(s, "loss.weight") == 0)
        return settings_fail(s, "loss.weight", p->trace,
                             "expected more than 0; without a divergence, logits is none");
    if (strcmp(logits, "forward-kl") != 0 && settings_integer(s, "loss.top") > 0)
        return settings_fail(s, "loss.top", p->trace, "the largest tokens are kept apart by forward-kl only");
    if (settings_get(s, "loss.states.student")->list_count !=
        settings_get(s, "loss.states.teacher")->list_count)
        return settings_fail(s, "loss.states.student", p->trace,
                             "as many layers of the student as of the teacher must be given");
    if (settings_has(s, "loss.states.at") && strcmp(settings_text(s, "loss.states.scale"), "dynamic") == 0 &&
        strcmp(logits, "none") == 0)
        return settings_fail(s, "loss.states.scale", p->trace,
                             "dynamic takes its measure from the divergence of logits: give fixed");
    return OK;
}

/* A teacher that was asked beforehand can no longer be asked for anything else. */
static enum status check_kept_losses(const struct planner *p, const struct stage_entry *teach)
{
    const struct settings *s = &p->stage->settings, *kept = &teach->settings;
    if (strcmp(settings_text(s, "loss.logits"), "forward-kl") != 0)
        return settings_fail(s, "loss.logits", p->trace,
                             "%s needs all logits of the teacher, stage \"%s\" keeps %lld of them: "
                             "give forward-kl, or the teacher itself",
                             settings_text(s, "loss.logits"), teach->name,
                             (long long)settings_integer(kept, "top"));
    if (settings_has(s, "loss.states.at"))
        return settings_fail(s, "loss.states.at", p->trace,
                             "stage \"%s\" keeps no hidden states: give the teacher itself", teach->name);
    if (settings_integer(s, "loss.top") > 0)
        return settings_fail(s, "loss.top", p->trace, "stage \"%s\" says how many are kept: %lld",
                             teach->name, (long long)settings_integer(kept, "top"));
    if (settings_real(s, "loss.temperature") != settings_real(kept, "temperature"))
        return settings_fail(s, "loss.temperature", p->trace,
                             "stage \"%s\" asked its teacher at a temperature of %g, not %g", teach->name,
                             settings_real(kept, "temperature"), settings_real(s, "loss.temperature"));
    return OK;
}

/* Its sequences are those that training shows: of the same text, cut at the same places. */
static enum status check_kept_data(const struct planner *p, uint32_t phase, const struct data_source *source,
                                   const struct stage_entry *teach)
{
    const struct pipeline *all = p->pipeline;
    int64_t length = training_integer(p->stage, phase, "length");
    if (source->input != teach->data)
        return settings_fail(settings_with(p->stage, phase, "data"), "data", p->trace,
                             "stage \"%s\" asked its teacher about \"%s\", not \"%s\"", teach->name,
                             all->inputs.items[teach->data].name, all->inputs.items[source->input].name);
    if (length != settings_integer(&teach->settings, "length"))
        return settings_fail(settings_with(p->stage, phase, "length"), "length", p->trace,
                             "stage \"%s\" asked its teacher about sequences of %lld tokens, not %lld",
                             teach->name, (long long)settings_integer(&teach->settings, "length"),
                             (long long)length);
    return OK;
}

static const struct stage_entry *kept_by(const struct planner *p, uint32_t route)
{
    const struct stage_entry *found = &p->pipeline->stages.items[p->stage->teachers[route].stage];
    return strcmp(found->kind->name, "teach") == 0 ? found : NULL;
}

static enum status check_sources(const struct planner *p, bool *is_used)
{
    for (uint32_t phase = 0; phase < training_phases(p->stage); phase++) {
        uint32_t count;
        const struct data_source *sources = training_sources(&count, p->stage, phase);
        for (uint32_t i = 0; i < count && p->stage->teacher_count > 0; i++) {
            const struct stage_entry *teach = kept_by(p, sources[i].route);
            is_used[sources[i].route] = true;
            if (teach)
                TRY(check_kept_data(p, phase, &sources[i], teach));
        }
    }
    return OK;
}

static enum status check_teachers(const struct planner *p)
{
    const struct stage_entry *stage = p->stage;
    bool is_used[STEP_MAX_ROUTES] = {false}, corrects = false;
    if (stage->teacher_count == 0)
        return OK;
    corrects = settings_real(&stage->settings, "correct") > 0;
    TRY(check_sources(p, is_used));
    for (uint32_t i = 0; i < stage->teacher_count; i++) {
        const struct stage_entry *teach = kept_by(p, i);
        if (!is_used[i])
            return fail_at(p, &settings_get(&stage->settings, "teacher")->pairs[i], "teacher",
                           text_of(p, "no data has the tag \"%s\"", stage->teachers[i].tag));
        if (teach)
            TRY(check_kept_losses(p, teach));
        if (teach && corrects)
            return settings_fail(&stage->settings, "correct", p->trace,
                                 "stage \"%s\" keeps what its teacher said: it cannot learn any more",
                                 teach->name);
    }
    if (stage->teacher_count > 1 && corrects)
        return settings_fail(&stage->settings, "correct", p->trace,
                             "one teacher can be corrected beside, not several");
    return OK;
}

static enum status check_scale(const struct planner *p)
{
    const struct settings *s = &p->stage->settings;
    int64_t scale = settings_integer(s, "optimizer.loss_scale");
    if ((scale & (scale - 1)) == 0)
        return OK;
    return settings_fail(s, "optimizer.loss_scale", p->trace, "expected a power of two, found %lld",
                         (long long)scale);
}

enum status training_plan_read(struct stage_entry *stage, struct pipeline *pipeline, struct trace *trace)
{
    struct planner p = {stage, pipeline, trace};
    TRY(read_teachers(&p));
    if (settings_has(&stage->settings, "data"))
        TRY(read_sources(&p, &stage->settings, &stage->sources, &stage->source_count));
    TRY(read_phases(&p));
    TRY(demand_data(&p));
    TRY(demand(&p, "steps"));
    TRY(check_scale(&p));
    for (uint32_t i = 0; i < training_phases(stage); i++)
        TRY(check_phase(&p, i));
    if (settings_integer(&stage->settings, "stop") > settings_integer(&stage->settings, "steps"))
        return settings_fail(&stage->settings, "stop", trace, "%lld is after the last of the %lld steps",
                             (long long)settings_integer(&stage->settings, "stop"),
                             (long long)settings_integer(&stage->settings, "steps"));
    /* Nothing stops after the last step: the same stage as one without. */
    if (settings_integer(&stage->settings, "stop") == settings_integer(&stage->settings, "steps"))
        settings_set_integer(&stage->settings, &pipeline->arena, "stop", 0);
    TRY(check_losses(&p));
    return check_teachers(&p);
}
