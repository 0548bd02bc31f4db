/* Stages in order of the file. A stage's key hashes what its result depends on: kind and version, profile,
 * settings with all defaults, and the ids of what it takes. So a changed setting re-runs that stage and what
 * depends on it, no more. */
#include "pipeline/run.h"
#include "base/log.h"
#include "pipeline/forecast.h"
#include "pipeline/key.h"
#include "pipeline/stage.h"
#include <stdlib.h>
#include <string.h>

const char *stage_status_name(enum stage_status status)
{
    static const char *const names[] = {
        [STAGE_RAN] = "ran",   [STAGE_CACHED] = "cached",   [STAGE_PLANNED] = "planned",
        [STAGE_SAME] = "same", [STAGE_DIFFERS] = "differs", [STAGE_MISSING] = "missing"};
    return names[status];
}

enum status run_open_store(struct store **out, const char *path, const struct run_options *options,
                           struct trace *trace)
{
    char *beside = path_beside(path, ".espalier");
    const char *where = options->store ? options->store : beside;
    enum store_mode mode = options->mode != RUN_ALL ? STORE_LOOK : STORE_CREATE;
    enum status status = store_open(out, where, mode, trace);
    free(beside);
    return status;
}

enum status run_open(struct run *out, const char *path, const struct run_options *options,
                     struct trace *trace)
{
    struct pipeline pipeline;
    struct pipeline_options form = {.seed = options->seed};
    TRY(pipeline_read_with(&pipeline, path, &form, trace));
    return run_open_pipeline(out, &pipeline, options, trace);
}

enum status run_open_pipeline(struct run *out, struct pipeline *pipeline, const struct run_options *options,
                              struct trace *trace)
{
    *out = (struct run){.options = *options, .pipeline = *pipeline};
    *pipeline = (struct pipeline){0};
    const char *path = out->pipeline.path;
    uint32_t count = out->pipeline.stages.count;
    enum status status = OK;
    out->options.device.numerics = out->pipeline.numerics;
    if (options->numerics)
        (void)numerics_find(&out->options.device.numerics, str_from(options->numerics));
    if (options->until && pipeline_find_stage(&out->pipeline, options->until) == STAGE_NONE)
        status = status_fail(trace, NOT_FOUND, "--until: %s has no stage \"%s\"", path, options->until);
    if (status == OK)
        status = device_identity(&out->numerics, &out->options.device, &out->arena, trace);
    if (status == OK)
        status = run_open_store(&out->store, path, &out->options, trace);
    if (status != OK) {
        run_release(out);
        return status;
    }
    out->results = ARENA_ARRAY(&out->arena, struct store_result, count);
    out->keys = ARENA_ARRAY(&out->arena, struct hash128, count);
    out->statuses = ARENA_ARRAY(&out->arena, enum stage_status, count);
    out->done = ARENA_ARRAY(&out->arena, bool, count);
    return OK;
}

void run_release(struct run *run)
{
    executor_destroy(run->executor);
    store_close(run->store);
    pipeline_release(&run->pipeline);
    arena_release(&run->arena);
    *run = (struct run){0};
}

const struct store_output *run_output(const struct run *run, uint32_t stage)
{
    if (!run->done[stage])
        return NULL;
    return store_result_find(&run->results[stage], run->pipeline.stages.items[stage].kind->output);
}

/* ---- one stage ---- */

static void announce(struct run *run, uint32_t number, double seconds, const char *why, const json_t *report)
{
    const struct store_output *output = run_output(run, number);
    struct stage_event event = {.entry = &run->pipeline.stages.items[number],
                                .status = run->statuses[number],
                                .seconds = seconds,
                                .why = why,
                                .report = report,
                                .has_id = output != NULL};
    if (output) {
        event.id = output->id;
        memcpy(event.sha256, output->sha256, sizeof event.sha256);
    }
    if (run->options.events.stage)
        run->options.events.stage(run->options.events.context, &event);
}

/* The report of a stage that evaluates, for the event; NULL for others. Release the reference. */
static json_t *read_report(struct run *run, uint32_t number)
{
    const struct store_output *output = store_result_find(&run->results[number], "report");
    struct store_object object = {0};
    struct trace ignored = {0};
    if (!output || store_open_object(&object, run->store, output->id, NULL, OBJECT_TRUST, &ignored) != OK)
        return NULL;
    json_t *json = json_loadb((const char *)object.data, object.size, 0, NULL);
    store_object_release(&object);
    return json;
}

static void finish(struct run *run, uint32_t number, enum stage_status status, double seconds)
{
    run->done[number] = true;
    run->statuses[number] = status;
    json_t *report = read_report(run, number);
    announce(run, number, seconds, NULL, report);
    json_decref(report);
}

static enum status write_record(struct stage_run *stage, double seconds, struct trace *trace)
{
    struct run *run = stage->run;
    json_object_set_new(stage->record, "stage", json_string(stage->entry->name));
    json_object_set_new(stage->record, "kind", json_string(stage->entry->kind->name));
    json_object_set_new(stage->record, "seconds", json_real(seconds));
    if (run->executor) {
        struct executor_counters counters = executor_counters(run->executor);
        json_object_set_new(stage->record, "device", json_string(run->executor->name));
        json_object_set_new(stage->record, "numerics", json_string(run->numerics));
        json_object_set_new(stage->record, "dispatches", json_integer((json_int_t)counters.dispatches));
        json_object_set_new(stage->record, "device_nodes", json_integer((json_int_t)counters.device_nodes));
        json_object_set_new(stage->record, "host_nodes", json_integer((json_int_t)counters.host_nodes));
    }
    char *text = json_dumps(stage->record, JSON_SORT_KEYS | JSON_INDENT(1));
    if (!text)
        BUG("a run record cannot be written as JSON");
    enum status status = store_record_write(run->store, stage->key, str_from(text), trace);
    free(text);
    return status;
}

static void copy_result(struct run *run, uint32_t number, const struct store_result *from)
{
    for (uint32_t i = 0; i < from->outputs.count; i++) {
        const struct store_output *o = &from->outputs.items[i];
        store_result_add(&run->results[number], &run->arena, o->name, o->id, o->sha256);
    }
}

/* Whether a result that is there already is made again (lost exports). */
enum redo { REDO_NEVER, REDO_ALWAYS };

static enum status execute(struct run *run, uint32_t number, enum redo redo, struct trace *trace)
{
    struct stage_run stage = {
        .run = run, .entry = &run->pipeline.stages.items[number], .number = number, .key = run->keys[number]};
    double start = clock_seconds();
    log_detail("%s: running", stage.entry->name);
    stage.record = json_object();
    enum status status = stage_lock_wait(&stage.lock, run->store, stage.key, run->options.stop, trace);
    struct store_result other = {0}; /* another process may have made it while we waited */
    struct trace ignored = {0};
    bool made = status == OK && redo == REDO_NEVER &&
                store_key_find(&other, &stage.arena, run->store, stage.key, &ignored) == OK;
    if (status == OK && !made)
        status = stage.entry->kind->run(&stage, trace);
    profile_span(run->options.profile, &(struct profile_span){.lane = PROFILE_HOST,
                                                              .name = stage.entry->kind->name,
                                                              .detail = stage.entry->name,
                                                              .start = start,
                                                              .end = clock_seconds()});
    if (status == OK && !made)
        status = store_key_put(run->store, stage.key, &stage.result, trace);
    if (status == OK && !made)
        status = write_record(&stage, clock_seconds() - start, trace);
    if (status == OK) {
        copy_result(run, number, made ? &other : &stage.result);
        finish(run, number, made ? STAGE_CACHED : STAGE_RAN, clock_seconds() - start);
    }
    json_decref(stage.record);
    stage_lock_release(&stage.lock);
    arena_release(&stage.arena);
    return status;
}

static enum status plan(struct run *run, uint32_t number, const char *why)
{
    run->statuses[number] = STAGE_PLANNED;
    announce(run, number, 0, why, NULL);
    return OK;
}

/* Once, before the first stage that is not cached. */
static enum status look_ahead(struct run *run, struct trace *trace)
{
    if (run->outlook != OUTLOOK_WANTED)
        return OK;
    run->outlook = OUTLOOK_BAD;
    TRY(forecast_check(run, run->goal, trace));
    run->outlook = OUTLOOK_GOOD;
    return OK;
}

/* An export that is cached must still be there as it was written; else it is written again. */
static enum status run_stage(struct run *run, uint32_t number, struct trace *trace)
{
    const struct stage_entry *entry = &run->pipeline.stages.items[number];
    uint32_t waiting = key_unknown_input(run, number);
    if (waiting != STAGE_NONE) {
        TRY(look_ahead(run, trace));
        return plan(run, number,
                    arena_printf(&run->arena, "after %s", run->pipeline.stages.items[waiting].name));
    }
    TRY(key_make(&run->keys[number], run, number, trace));
    struct trace missing = {0};
    struct store_result found = {0};
    enum status status = store_key_find(&found, &run->arena, run->store, run->keys[number], &missing);
    if (status == OK &&
        !(strcmp(entry->kind->name, "export") == 0 && !stage_export_is_there(run, number, &found))) {
        run->results[number] = found;
        finish(run, number, STAGE_CACHED, 0);
        return OK;
    }
    if (status != OK && status != NOT_FOUND)
        return status_fail(trace, status, "%s", missing.text);
    TRY(look_ahead(run, trace));
    if (run->options.mode != RUN_ALL)
        return plan(run, number, status == OK ? "its files are not there" : "no result for its key");
    return execute(run, number, status == OK ? REDO_ALWAYS : REDO_NEVER, trace);
}

/* Names the stage's result, so that gc keeps it. A name that is right already is left alone: a run that finds
 * everything needs no permission to write. */
static enum status mark_root(struct run *run, uint32_t number, struct trace *trace)
{
    struct hash128 id, named;
    struct trace none = {0};
    const char *name =
        arena_printf(&run->arena, "%s.%s", run->pipeline.name, run->pipeline.stages.items[number].name);
    TRY(store_key_read(&id, run->store, run->keys[number], trace));
    if (store_ref_find(&named, run->store, name, &none) == OK && hash128_equal(named, id))
        return OK;
    return store_ref_set(run->store, name, id, trace);
}

enum status run_one_stage(struct run *run, uint32_t number, struct trace *trace)
{
    const struct stage_entry *entry = &run->pipeline.stages.items[number];
    if (run->options.stop && *run->options.stop)
        return status_fail(trace, INTERRUPTED, "interrupted before stage \"%s\"", entry->name);
    enum status status = run_stage(run, number, trace);
    if (status != OK) {
        trace_add(trace, "%s running stage \"%s\" (%s:%u)", run->outlook == OUTLOOK_BAD ? "before" : "while",
                  entry->name, run->pipeline.path, entry->line);
        return status;
    }
    bool looks = run->options.mode != RUN_ALL; /* moves no root, and needs no permission to write */
    return run->done[number] && !looks ? mark_root(run, number, trace) : OK;
}

enum status run_stages(struct run *run, struct trace *trace)
{
    run->goal = run->options.until ? pipeline_find_stage(&run->pipeline, run->options.until)
                                   : run->pipeline.stages.count - 1;
    run->outlook = run->options.mode == RUN_LOOK ? OUTLOOK_UNASKED : OUTLOOK_WANTED;
    for (uint32_t i = 0; i <= run->goal; i++)
        TRY(run_one_stage(run, i, trace));
    return OK;
}
