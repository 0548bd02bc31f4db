/* The text that a key hashes (docs/store.md):
 *   espalier-key 1 / stage KIND VERSION / numerics NAME/N / setting lines / NAME ID lines for what it
 * takes. */
#include "pipeline/key.h"
#include "pipeline/source.h"
#include "pipeline/training_data.h"
#include "pipeline/training_plan.h"
#include "store/id.h"
#include "store/input.h"
#include "train/step.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const taken[] = {"model", "tokenizer", "scores", "targets"};

/* The stages that a stage takes something of. */
static uint32_t list_inputs(const struct stage_entry *entry, uint32_t out[3 + STEP_MAX_ROUTES])
{
    uint32_t count = 0;
    out[count++] = entry->model;
    for (uint32_t i = 0; i < entry->teacher_count; i++)
        out[count++] = entry->teachers[i].stage;
    out[count++] = entry->scores;
    out[count++] = entry->like;
    return count;
}

uint32_t key_unknown_input(const struct run *run, uint32_t number)
{
    uint32_t inputs[3 + STEP_MAX_ROUTES], count = list_inputs(&run->pipeline.stages.items[number], inputs);
    for (uint32_t i = 0; i < count; i++)
        if (inputs[i] != STAGE_NONE && !run->done[inputs[i]])
            return inputs[i];
    return STAGE_NONE;
}

static void add_hash(struct builder *text, const char *role, const char *name, struct hash128 hash)
{
    char hex[HASH128_HEX];
    hash128_to_hex(hash, hex);
    builder_printf(text, "%s.%s %s\n", role, name, hex);
}

/* Ids of the outputs that say what the other stage made; names of weights enter no key but those of exports.
 */
static void add_stage(struct builder *text, const struct run *run, const char *role, uint32_t stage)
{
    if (stage == STAGE_NONE)
        return;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        const struct store_output *output = store_result_find(&run->results[stage], taken[i]);
        if (output)
            add_hash(text, role, taken[i], output->id);
    }
}

/* What an export says of its model besides computing it is in no id. */
static void add_origin(struct builder *text, const struct run *run, uint32_t stage)
{
    uint32_t origin = pipeline_find_origin(&run->pipeline, stage);
    const struct store_output *names = store_result_find(&run->results[origin], "names");
    if (names)
        add_hash(text, "origin", names->name, names->id);
}

static enum status add_file(struct builder *text, const struct run *run, const char *role, const char *path,
                            struct trace *trace)
{
    struct store_input input;
    TRY(store_input_hash(&input, run->store, path, INPUT_REMEMBERED, trace));
    add_hash(text, role, "file", input.xxh3);
    return OK;
}

static enum status add_tokenizer(struct builder *text, const struct run *run, const struct settings *settings,
                                 struct trace *trace)
{
    const char *tokenizer = settings_text(settings, "tokenizer");
    if (!*tokenizer)
        return OK;
    if (strcmp(tokenizer, "bytes") != 0)
        return add_file(text, run, "tokenizer", tokenizer, trace);
    builder_add_text(text, "tokenizer bytes\n");
    return OK;
}

/* A model's own file, and the others that it consists of: data files, shards. Only reading it tells them. */
static enum status add_model(struct builder *text, const struct run *run, const char *role,
                             const struct input_entry *input, struct trace *trace)
{
    struct imported_model model = {0};
    TRY(model_import_input(&model, input, IMPORT_TO_LOOK, trace));
    enum status status = add_file(text, run, role, model.path, trace);
    struct arena arena = {0};
    for (uint32_t i = 1; status == OK && i < model.files.count; i++)
        status = add_file(text, run, "data", imported_model_file_path(&model, i, &arena), trace);
    arena_release(&arena);
    imported_model_release(&model);
    return status;
}

static enum status add_input(struct builder *text, const struct run *run, const char *role, uint32_t number,
                             struct trace *trace)
{
    if (number == STAGE_NONE)
        return OK;
    const struct input_entry *input = &run->pipeline.inputs.items[number];
    settings_print(&input->settings, text);
    if (settings_has(&input->settings, "model"))
        TRY(add_model(text, run, role, input, trace));
    static const char *const files[] = {"text", "items", "labels", "examples"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (settings_has(&input->settings, files[i]))
            TRY(add_file(text, run, i == 0 ? role : files[i], settings_text(&input->settings, files[i]),
                         trace));
    return add_tokenizer(text, run, &input->settings, trace);
}

/* Inputs of training data. One input alone has no share, and one teacher no tag. */
static enum status add_sources(struct builder *text, const struct run *run, const struct stage_entry *e,
                               const struct data_source *sources, uint32_t count, struct trace *trace)
{
    for (uint32_t i = 0; i < count; i++) {
        if (count > 1)
            builder_printf(text, "share %u\n", sources[i].share);
        if (e->teacher_count > 1)
            builder_printf(text, "route %u\n", sources[i].route);
        TRY(add_input(text, run, "data", sources[i].input, trace));
    }
    return OK;
}

static enum status add_training(struct builder *text, const struct run *run, const struct stage_entry *e,
                                struct trace *trace)
{
    TRY(add_sources(text, run, e, e->sources, e->source_count, trace));
    for (uint32_t i = 0; i < e->phase_count; i++) {
        const struct stage_phase *phase = &e->phases[i];
        builder_printf(text, "phase %u\n", i);
        settings_print(&phase->settings, text);
        uint32_t count;
        const struct data_source *sources = training_sources(&count, e, i);
        for (uint32_t j = 0; j < count;
             j++) /* inputs may be alike in all but what was drawn of them before */
            builder_printf(text, "first %" PRIu64 "\n", training_first_sample(e, i, sources[j].input));
        TRY(add_sources(text, run, e, phase->sources, phase->source_count, trace));
    }
    return OK;
}

static enum status write_text(struct builder *text, const struct run *run, const struct stage_entry *e,
                              struct trace *trace)
{
    builder_printf(text, "espalier-key 1\nstage %s %u\nnumerics %s\n", e->kind->name, e->kind->version,
                   run->numerics);
    settings_print(&e->settings, text);
    add_stage(text, run, "model", e->model);
    for (uint32_t i = 0; i < e->teacher_count; i++)
        add_stage(text, run, "teacher", e->teachers[i].stage);
    add_stage(text, run, "scores", e->scores);
    add_stage(text, run, "like", e->like);
    TRY(add_input(text, run, "data", e->data, trace));
    TRY(add_training(text, run, e, trace));
    TRY(add_input(text, run, "task", e->task, trace));
    TRY(add_input(text, run, "source", e->source, trace));
    if (strcmp(e->kind->name, "export") == 0)
        add_origin(text, run, e->model);
    return strcmp(e->kind->name, "init") == 0 ? add_tokenizer(text, run, &e->settings, trace) : OK;
}

static enum status make(struct hash128 *out, const struct run *run, const struct stage_entry *entry,
                        struct trace *trace)
{
    struct builder text = {0};
    enum status status = write_text(&text, run, entry, trace);
    *out = hash128_of(builder_text(&text), text.length);
    builder_release(&text);
    return status;
}

enum status key_make(struct hash128 *out, struct run *run, uint32_t number, struct trace *trace)
{
    return make(out, run, &run->pipeline.stages.items[number], trace);
}

enum status key_make_unstopped(struct hash128 *out, const struct run *run, uint32_t number,
                               struct trace *trace)
{
    struct arena arena = {0};
    struct stage_entry entry = run->pipeline.stages.items[number];
    entry.settings = settings_copy(&entry.settings, &arena);
    settings_set_integer(&entry.settings, &arena, "stop", 0);
    enum status status = make(out, run, &entry, trace);
    arena_release(&arena);
    return status;
}
