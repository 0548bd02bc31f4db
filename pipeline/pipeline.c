/* Reading the pipeline file. Stages refer to earlier stages and to inputs by name; what a stage does not name
 * is taken from its place in the list (the model of the stage before, the nearest scores above). */
#include "pipeline/pipeline.h"
#include "data/task.h"
#include "pipeline/export_form.h"
#include "pipeline/stage.h"
#include "pipeline/training_plan.h"
#include <stdlib.h>
#include <string.h>

const struct stage_kind stage_kinds[] = {
#define STAGE(kind, number, result, makes, text) {#kind, number, result, makes, stage_##kind, text},
#include "pipeline/stages.def"
};
const uint32_t stage_kind_count = sizeof stage_kinds / sizeof *stage_kinds;

enum { FILE_LIMIT = 4 << 20, NAME_LIMIT = 64 };

struct reader {
    struct pipeline *out;
    const struct pipeline_options *options;
    struct trace *trace;
};

static enum status fail(struct reader *r, const struct yaml_value *at, const char *what, const char *expected)
{
    return yaml_fail_expected(r->trace, r->out->path, at, what, expected);
}

/* The value of a key that must be there; else `root` is where it is missed. */
static enum status find_key(const struct yaml_value **out, struct reader *r, const struct yaml_value *root,
                            const char *key, const char *expected)
{
    *out = yaml_find(root, key);
    return *out ? OK
                : yaml_fail(r->trace, r->out->path, root, "there is no key \"%s\"; expected %s", key,
                            expected);
}

/* Names appear in file names, refs and locks: letters, digits, - and _. */
static bool is_name(struct str text)
{
    if (text.length == 0 || text.length > NAME_LIMIT)
        return false;
    for (size_t i = 0; i < text.length; i++)
        if (!text.data[i] ||
            !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", text.data[i]))
            return false;
    return true;
}

static const char name_text[] = "a name of 1 to 64 letters, digits, - and _";

uint32_t pipeline_find_input(const struct pipeline *p, const char *name)
{
    for (uint32_t i = 0; i < p->inputs.count; i++)
        if (strcmp(p->inputs.items[i].name, name) == 0)
            return i;
    return STAGE_NONE;
}

uint32_t pipeline_find_origin(const struct pipeline *pipeline, uint32_t stage)
{
    while (pipeline->stages.items[stage].model != STAGE_NONE)
        stage = pipeline->stages.items[stage].model;
    return stage;
}

uint32_t pipeline_find_stage(const struct pipeline *pipeline, const char *name)
{
    for (uint32_t i = 0; i < pipeline->stages.count; i++)
        if (strcmp(pipeline->stages.items[i].name, name) == 0)
            return i;
    return STAGE_NONE;
}

/* ---- head and inputs ---- */

static enum status read_head(struct reader *r, const struct yaml_value *root)
{
    static const char *const keys[] = {"espalier", "name", "numerics", "seed", "inputs", "stages"};
    for (uint32_t i = 0; i < root->count; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            known = known || str_is(root->keys[i]->text, keys[k]);
        for (const char *const *a = r->options->also; a && *a; a++)
            known = known || str_is(root->keys[i]->text, *a);
        if (!known && !r->options->also && str_is(root->keys[i]->text, "search"))
            return yaml_fail(r->trace, r->out->path, root->keys[i],
                             "this is a search file: see \"espalier help search\"");
        if (!known)
            return yaml_fail(r->trace, r->out->path, root->keys[i],
                             "unknown key \"" STR_FORMAT
                             "\"; there are espalier, name, numerics, seed, inputs, stages",
                             STR_ARGUMENT(root->keys[i]->text));
    }
    static const char version_text[] = "\"espalier: 1\", the version of the file's form";
    const struct yaml_value *version, *name = yaml_find(root, "name");
    const struct yaml_value *numerics = yaml_find(root, "numerics"), *seed = yaml_find(root, "seed");
    TRY(find_key(&version, r, root, "espalier", version_text));
    if (version->kind != YAML_TEXT || !str_is(version->text, "1"))
        return fail(r, version, "espalier", version_text);
    if (name && (name->kind != YAML_TEXT || !is_name(name->text)))
        return fail(r, name, "name", name_text);
    r->out->name = name ? name->text.data : "pipeline";
    r->out->numerics = NUMERICS_GOLDEN;
    if (numerics && (numerics->kind != YAML_TEXT || !numerics_find(&r->out->numerics, numerics->text)))
        return fail(r, numerics, "numerics", NUMERICS_NAMES);
    if (seed && (seed->kind != YAML_TEXT || !str_to_i64(seed->text, &r->out->seed) || r->out->seed < 0 ||
                 r->out->seed > UINT32_MAX))
        return fail(r, seed, "seed", "an integer from 0 to 4294967295");
    if (r->options->seed) {
        r->out->seed = *r->options->seed;
        r->out->name = arena_printf(&r->out->arena, "%s.seed-%lld", r->out->name, (long long)r->out->seed);
    }
    return OK;
}

/* Paths are relative to the file. */
static void resolve_paths(struct pipeline *p, struct settings *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct setting *setting = &s->items[i];
        bool is_path = setting->info->type == SETTING_PATH ||
                       (setting->info->type == SETTING_TOKENIZER && !str_is(setting->text, "bytes"));
        if (!is_path || setting->text.length == 0)
            continue;
        char *full = path_beside(p->path, setting->text.data);
        setting->text = str_from(arena_printf(&p->arena, "%s", full));
        free(full);
    }
}

/* One of a model, a text and a task with its items. */
static enum status check_input(struct reader *r, const struct input_entry *entry, const struct yaml_value *at)
{
    bool model = settings_has(&entry->settings, "model"), text = settings_has(&entry->settings, "text"),
         task = settings_has(&entry->settings, "task"), items = settings_has(&entry->settings, "items");
    if (model + text + task != 1)
        return yaml_fail(r->trace, r->out->path, at,
                         "input \"%s\": expected one of a model, a text and a task, found %s", entry->name,
                         (model + text + task) ? "several" : "none");
    if (task != items)
        return yaml_fail(r->trace, r->out->path, at,
                         "input \"%s\": a task needs its items, and items their task", entry->name);
    return OK;
}

static enum status read_inputs(struct reader *r, const struct yaml_value *inputs)
{
    if (inputs && inputs->kind != YAML_MAP)
        return fail(r, inputs, "inputs", "a map of inputs by name");
    for (uint32_t i = 0; inputs && i < inputs->count; i++) {
        if (!is_name(inputs->keys[i]->text))
            return fail(r, inputs->keys[i], "inputs", name_text);
        struct input_entry *entry = VEC_PUSH(&r->out->arena, &r->out->inputs);
        entry->name = inputs->keys[i]->text.data;
        TRY_WITH(r->trace,
                 settings_read(&entry->settings, &r->out->arena, "input", inputs->items[i], NULL,
                               r->out->path, r->trace),
                 "while reading input \"%s\"", entry->name);
        TRY(check_input(r, entry, inputs->items[i]));
        resolve_paths(r->out, &entry->settings);
    }
    return OK;
}

/* ---- stages ---- */

static bool has_setting(const struct settings *s, const char *key)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i].info->key, key) == 0)
            return s->items[i].text.length > 0;
    return false;
}

/* The stage that `key` names; it must stand above and yield a model (or be a score stage). */
static enum status refer_stage(struct reader *r, const struct stage_entry *stage, const char *key,
                               bool scores, uint32_t *out)
{
    if (!has_setting(&stage->settings, key))
        return OK;
    const char *name = settings_text(&stage->settings, key);
    *out = pipeline_find_stage(r->out, name);
    if (*out == STAGE_NONE)
        return settings_fail(&stage->settings, key, r->trace, "no stage above is called \"%s\"", name);
    const struct stage_kind *kind = r->out->stages.items[*out].kind;
    if (scores && strcmp(kind->name, "score") != 0)
        return settings_fail(&stage->settings, key, r->trace, "stage \"%s\" is no score stage", name);
    if (!scores && !kind->makes_model)
        *out = r->out->stages.items[*out].model;
    return OK;
}

static enum status refer_input(struct reader *r, const struct stage_entry *stage, const char *key,
                               const char *member, uint32_t *out)
{
    if (!has_setting(&stage->settings, key))
        return OK;
    const char *name = settings_text(&stage->settings, key);
    *out = pipeline_find_input(r->out, name);
    if (*out == STAGE_NONE)
        return settings_fail(&stage->settings, key, r->trace, "no input is called \"%s\"", name);
    if (!settings_has(&r->out->inputs.items[*out].settings, member))
        return settings_fail(&stage->settings, key, r->trace, "input \"%s\" has no %s", name, member);
    return OK;
}

/* The model a stage takes when it names none: the one that the stage before made or handed on. */
static uint32_t model_before(const struct pipeline *p)
{
    if (p->stages.count == 0)
        return STAGE_NONE;
    const struct stage_entry *before = &VEC_LAST(&p->stages);
    return before->kind->makes_model ? p->stages.count - 1 : before->model;
}

static uint32_t scores_above(const struct pipeline *p)
{
    for (uint32_t i = p->stages.count; i-- > 0;)
        if (strcmp(p->stages.items[i].kind->name, "score") == 0)
            return i;
    return STAGE_NONE;
}

static bool kind_is(const struct stage_entry *stage, const char *name)
{
    return strcmp(stage->kind->name, name) == 0;
}

/* A model that another is measured against. */
static enum status refer_teacher(struct reader *r, struct stage_entry *stage)
{
    if (!kind_is(stage, "evaluate") || !has_setting(&stage->settings, "teacher"))
        return OK;
    struct stage_teacher *teacher = ARENA_NEW(&r->out->arena, struct stage_teacher);
    TRY(refer_stage(r, stage, "teacher", false, &teacher->stage));
    stage->teachers = teacher;
    stage->teacher_count = 1;
    return OK;
}

static enum status connect(struct reader *r, struct stage_entry *stage, const struct yaml_value *at)
{
    bool is_source = kind_is(stage, "import") || kind_is(stage, "init");
    stage->model = is_source ? STAGE_NONE : model_before(r->out);
    stage->scores = kind_is(stage, "prune") || kind_is(stage, "apply") ? scores_above(r->out) : STAGE_NONE;
    if (!is_source)
        TRY(refer_stage(r, stage, "model", false, &stage->model));
    if (!kind_is(stage, "score"))
        TRY(refer_stage(r, stage, "scores", true, &stage->scores));
    TRY(refer_stage(r, stage, "like", false, &stage->like));
    TRY(refer_teacher(r, stage));
    if (!training_plan_is_for(stage))
        TRY(refer_input(r, stage, "data", kind_is(stage, "answer") ? "task" : "text", &stage->data));
    TRY(refer_input(r, stage, "task", "task", &stage->task));
    if (kind_is(stage, "import"))
        TRY(refer_input(r, stage, "model", "model", &stage->source));
    if (!is_source && stage->model == STAGE_NONE)
        return yaml_fail(r->trace, r->out->path, at, "%s: no stage above makes a model", stage->name);
    return OK;
}

/* hidden / heads is the size of a head unless the file gives one. */
static enum status check_arch(struct reader *r, const struct stage_entry *stage)
{
    const struct settings *s = &stage->settings;
    int64_t hidden = settings_integer(s, "arch.hidden"), heads = settings_integer(s, "arch.heads");
    if (stage->like != STAGE_NONE || settings_integer(s, "arch.head_dim") > 0)
        return OK;
    if (heads == 0)
        return settings_fail(s, "arch.heads", r->trace, "expected the number of heads, found nothing");
    if (hidden % heads != 0)
        return settings_fail(s, "arch.heads", r->trace, "%lld does not divide hidden (%lld); give head_dim",
                             (long long)heads, (long long)hidden);
    return OK;
}

/* Depth by a task needs one, with choices where they are compared; and a task is there for something. */
static enum status check_depth(struct reader *r, const struct stage_entry *stage)
{
    const struct settings *s = &stage->settings;
    bool margin = settings_has_word(s, "depth", "margin"), has_task = stage->task != STAGE_NONE;
    enum task_kind kind;
    if (has_task != (margin || settings_has_word(s, "depth", "accuracy")))
        return settings_fail(s, has_task ? "task" : "depth", r->trace,
                             has_task ? "depth asks for neither accuracy nor margin"
                                      : "accuracy and margin need a task");
    if (margin &&
        task_kind_from_name(str_from(settings_text(&r->out->inputs.items[stage->task].settings, "task")),
                            &kind) &&
        task_metrics_of(kind) == TASK_COMPLETION)
        return settings_fail(s, "depth", r->trace, "margin compares choices, and %s has none",
                             task_name(kind));
    return OK;
}

static enum status check_score(struct reader *r, const struct stage_entry *stage)
{
    const struct settings *s = &stage->settings;
    int64_t samples = settings_integer(s, "samples"), micro = settings_integer(s, "micro");
    if (samples % micro != 0)
        return settings_fail(s, "samples", r->trace,
                             "%lld is not a multiple of micro (%lld), the sequences at a time",
                             (long long)samples, (long long)micro);
    TRY(check_depth(r, stage));
    struct str rest = {0}, word;
    while (settings_next_word(s, "metric", &rest, &word))
        if (str_is(word, "flap") && strcmp(settings_text(s, "neurons"), "before") == 0)
            return settings_fail(s, "neurons", r->trace,
                                 "flap scores neurons after the activation function, not before");
    return OK;
}

/* An option is given for one of the forms that take it, or it is a mistake. */
static enum status check_export(struct reader *r, const struct settings *s)
{
    static const struct {
        const char *name;
        enum export_takes takes;
    } options[] = {{"interface", TAKES_INTERFACE}, {"type", TAKES_TYPE}};
    bool any = false, takes[] = {false, false};
    for (uint32_t i = 0; i < EXPORT_FORMS; i++) {
        bool is_asked = settings_has(s, export_forms[i].name);
        any |= is_asked;
        for (size_t k = 0; k < sizeof options / sizeof *options; k++)
            takes[k] |= is_asked && export_forms[i].takes == options[k].takes;
    }
    if (!any)
        return settings_fail(s, export_forms[0].name, r->trace, "export needs %s",
                             export_form_names(&r->out->arena, TAKES_NOTHING));
    for (size_t k = 0; k < sizeof options / sizeof *options; k++)
        if (settings_get(s, options[k].name)->is_given && !takes[k])
            return settings_fail(s, options[k].name, r->trace, "only %s takes it, and none is asked for",
                                 export_form_names(&r->out->arena, options[k].takes));
    return OK;
}

static enum status check_stage(struct reader *r, const struct stage_entry *stage)
{
    const struct settings *s = &stage->settings;
    if (kind_is(stage, "init") && (stage->like == STAGE_NONE) == (settings_integer(s, "arch.layers") == 0))
        return settings_fail(s, "like", r->trace, "init needs either arch (with layers) or like");
    if (kind_is(stage, "init") && stage->like == STAGE_NONE && !settings_has(s, "tokenizer"))
        return settings_fail(s, "tokenizer", r->trace,
                             "init with arch needs a tokenizer: bytes, or a tokenizer.json");
    if (kind_is(stage, "init"))
        TRY(check_arch(r, stage));
    if (kind_is(stage, "score"))
        TRY(check_score(r, stage));
    if (kind_is(stage, "generate") && settings_integer(s, "samples") == 0 && !settings_integer(s, "greedy"))
        return settings_fail(s, "samples", r->trace,
                             "no text is asked for: greedy is false and samples is 0");
    if (kind_is(stage, "export"))
        TRY(check_export(r, s));
    return OK;
}

static const struct stage_kind *find_kind(struct str name)
{
    for (uint32_t i = 0; i < stage_kind_count; i++)
        if (str_is(name, stage_kinds[i].name))
            return &stage_kinds[i];
    return NULL;
}

static const char *list_kinds(struct reader *r)
{
    const char *list = stage_kinds[0].name;
    for (uint32_t i = 1; i < stage_kind_count; i++)
        list = arena_printf(&r->out->arena, "%s, %s", list, stage_kinds[i].name);
    return list;
}

static enum status read_stage(struct reader *r, const struct yaml_value *item)
{
    static const char *const own[] = {"as", NULL}, *const of_training[] = {"as", "phases", NULL};
    bool word = item->kind == YAML_TEXT;
    if (!word && (item->kind != YAML_MAP || item->count != 1))
        return fail(r, item, "stages", "one stage: \"KIND: {settings}\"");
    const struct yaml_value *key = word ? item : item->keys[0], *map = word ? NULL : item->items[0];
    struct stage_entry stage = {.kind = find_kind(key->text),
                                .model = STAGE_NONE,
                                .scores = STAGE_NONE,
                                .like = STAGE_NONE,
                                .data = STAGE_NONE,
                                .task = STAGE_NONE,
                                .source = STAGE_NONE,
                                .line = key->line,
                                .column = key->column};
    if (!stage.kind)
        return yaml_fail(r->trace, r->out->path, key, "unknown stage kind \"" STR_FORMAT "\"; there are %s",
                         STR_ARGUMENT(key->text), list_kinds(r));
    const struct yaml_value *as = map ? yaml_find(map, "as") : NULL;
    if (as && (as->kind != YAML_TEXT || !is_name(as->text)))
        return fail(r, as, "as", name_text);
    stage.name = as ? as->text.data : stage.kind->name;
    uint32_t same = pipeline_find_stage(r->out, stage.name);
    if (same != STAGE_NONE)
        return yaml_fail(r->trace, r->out->path, as ? as : key,
                         "stage \"%s\" is there already, in line %u: give one of them "
                         "another name with \"as\"",
                         stage.name, r->out->stages.items[same].line);
    TRY_WITH(r->trace,
             settings_read(&stage.settings, &r->out->arena, stage.kind->name, map,
                           training_plan_is_for(&stage) ? of_training : own, r->out->path, r->trace),
             "while reading stage \"%s\"", stage.name);
    if (!map)
        stage.settings.at = key;
    resolve_paths(r->out, &stage.settings);
    for (uint32_t i = 0; i < stage.settings.count; i++)
        if (strcmp(stage.settings.items[i].info->key, "seed") == 0 && !stage.settings.items[i].is_given)
            settings_set_integer(&stage.settings, &r->out->arena, "seed", r->out->seed);
    TRY_WITH(r->trace, connect(r, &stage, key), "while reading stage \"%s\"", stage.name);
    if (training_plan_is_for(&stage))
        TRY_WITH(r->trace, training_plan_read(&stage, r->out, r->trace), "while reading stage \"%s\"",
                 stage.name);
    TRY_WITH(r->trace, check_stage(r, &stage), "while reading stage \"%s\"", stage.name);
    *VEC_PUSH(&r->out->arena, &r->out->stages) = stage;
    return OK;
}

static enum status read_root(struct reader *r, const struct yaml_value *root)
{
    if (root->kind != YAML_MAP)
        return fail(r, root, "", "a map with espalier, inputs and stages");
    TRY(read_head(r, root));
    TRY(read_inputs(r, yaml_find(root, "inputs")));
    const struct yaml_value *stages = yaml_find(root, "stages");
    if (!stages && r->options->also)
        return OK;
    TRY(find_key(&stages, r, root, "stages", "a list of stages"));
    if (stages->kind != YAML_LIST || stages->count == 0)
        return fail(r, stages, "stages", "a list of stages");
    for (uint32_t i = 0; i < stages->count; i++)
        TRY(read_stage(r, stages->items[i]));
    return OK;
}

enum status pipeline_read(struct pipeline *out, const char *path, struct trace *trace)
{
    return pipeline_read_with(out, path, &(struct pipeline_options){0}, trace);
}

enum status pipeline_read_with(struct pipeline *out, const char *path, const struct pipeline_options *options,
                               struct trace *trace)
{
    *out = (struct pipeline){0};
    out->path = arena_printf(&out->arena, "%s", path);
    struct builder text = {0};
    struct reader r = {.out = out, .options = options, .trace = trace};
    struct yaml_value *root = NULL;
    enum status status = file_read(&text, path, FILE_LIMIT, trace);
    if (status == OK)
        status = yaml_read(&root, &out->arena, (struct str){text.data, text.length}, out->path, trace);
    out->root = root;
    if (status == OK)
        status = read_root(&r, root);
    builder_release(&text);
    if (status != OK)
        pipeline_release(out);
    return status;
}

void pipeline_release(struct pipeline *pipeline)
{
    arena_release(&pipeline->arena);
    *pipeline = (struct pipeline){0};
}
