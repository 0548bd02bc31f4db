/* Finding scores by the stage that made them, or by id. */
#include "pipeline/scores_source.h"
#include "pipeline/run.h"
#include "pipeline/scores_object.h"
#include "store/list.h"
#include "store/object.h"
#include <stdlib.h>
#include <string.h>

/* "FILE.yaml:STAGE" -> FILE.yaml (heap) and STAGE; NULL where the text has another form. */
static char *split(const char *spec, const char **stage)
{
    const char *colon = strrchr(spec, ':');
    struct str before = {spec, colon ? (size_t)(colon - spec) : 0};
    if (!str_ends_with(before, ".yaml") && !str_ends_with(before, ".yml"))
        return NULL;
    *stage = colon + 1;
    return strndup(before.data, before.length);
}

static bool is_score_stage(const char *file, const char *name)
{
    struct pipeline pipeline;
    struct trace ignored = {0};
    if (pipeline_read(&pipeline, file, &ignored) != OK)
        return false;
    uint32_t number = pipeline_find_stage(&pipeline, name);
    bool is = number != STAGE_NONE && strcmp(pipeline.stages.items[number].kind->name, "score") == 0;
    pipeline_release(&pipeline);
    return is;
}

static enum status find_object(struct store **store, struct hash128 *id, const char *spec,
                               const struct source_options *options, struct trace *trace)
{
    TRY(store_open(store, options->store ? options->store : ".espalier", STORE_EXISTING, trace));
    enum status status = store_find_prefix(id, *store, str_from(spec), trace);
    if (status == OK)
        return OK;
    store_close(*store);
    *store = NULL;
    return status;
}

bool scores_source_is(const char *spec, const struct source_options *options)
{
    const char *stage;
    char *file = split(spec, &stage);
    if (file) {
        bool is = is_score_stage(file, stage);
        free(file);
        return is;
    }
    struct store *store = NULL;
    struct hash128 id;
    struct trace ignored = {0};
    struct store_object object = {0};
    if (file_exists(spec) || find_object(&store, &id, spec, options, &ignored) != OK)
        return false;
    bool is = store_open_object(&object, store, id, "scores", OBJECT_TRUST, &ignored) == OK;
    store_object_release(&object);
    store_close(store);
    return is;
}

static void ignore_stage(void *context, const struct stage_event *event)
{
    (void)context, (void)event;
}

static enum status open_stage(struct scores *out, struct arena *arena, const char *file, const char *name,
                              const struct source_options *options, struct trace *trace)
{
    struct run_options dry = {.store = options->store,
                              .numerics = options->numerics,
                              .device = {.device = options->device},
                              .mode = RUN_LOOK,
                              .events = {.stage = ignore_stage}};
    struct run run;
    TRY(run_open(&run, file, &dry, trace));
    enum status status = run_stages(&run, trace);
    uint32_t number = pipeline_find_stage(&run.pipeline, name);
    const struct store_output *output = status == OK ? run_output(&run, number) : NULL;
    if (status == OK && !output)
        status =
            status_fail(trace, NOT_FOUND, "stage \"%s\" of %s has not run yet: espalier run %s --until %s",
                        name, file, file, name);
    if (status == OK)
        status = scores_open(out, arena, run.store, output->id, trace);
    run_release(&run);
    return status;
}

enum status scores_source_open(struct scores *out, struct arena *arena, const char *spec,
                               const struct source_options *options, struct trace *trace)
{
    const char *stage;
    char *file = split(spec, &stage);
    if (file) {
        enum status status = open_stage(out, arena, file, stage, options, trace);
        free(file);
        return status;
    }
    struct store *store = NULL;
    struct hash128 id;
    TRY(find_object(&store, &id, spec, options, trace));
    enum status status = scores_open(out, arena, store, id, trace);
    store_close(store);
    return status;
}
