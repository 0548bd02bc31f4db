/* Telling the forms of MODEL apart: by ending, by "FILE.yaml:STAGE", else an object id. */
#include "pipeline/source.h"
#include "ir/text.h"
#include "pipeline/key.h"
#include "pipeline/run.h"
#include "store/list.h"
#include "store/object.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_LIMIT = 64 << 20 };

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum status model_import_input(struct imported_model *out, const struct input_entry *input,
                               enum import_use use, struct trace *trace)
{
    bool is_untrusted = settings_integer(&input->settings, "untrusted") != 0;
    struct import_options options = {is_untrusted ? IMPORT_UNTRUSTED : IMPORT_TRUSTED, use};
    return frontend_import(out, settings_text(&input->settings, "model"), &options, trace);
}

static enum status open_import(struct model_source *out, const char *path,
                               const struct source_options *options, struct trace *trace)
{
    struct import_options import = {.trust = options->trust, .use = options->use};
    TRY(frontend_import(&out->imported, path, &import, trace));
    out->graph = out->imported.graph;
    out->tokenizer = out->imported.tokenizer;
    return OK;
}

static enum status open_text(struct model_source *out, const char *path, struct trace *trace)
{
    TRY(file_read(&out->text, path, TEXT_LIMIT, trace));
    TRY(graph_parse(&out->parsed, (struct str){out->text.data, out->text.length}, path, trace));
    out->graph = out->parsed;
    return OK;
}

static enum status take_model(struct model_source *out, const struct store *store, struct hash128 id,
                              const struct store_result *result, struct trace *trace)
{
    const struct store_output *names = result ? store_result_find(result, "names") : NULL;
    const struct store_output *tokenizer = result ? store_result_find(result, "tokenizer") : NULL;
    TRY(model_open(&out->model, store, id, names ? &names->id : NULL, tokenizer ? &tokenizer->id : NULL,
                   trace));
    out->graph = out->model.graph;
    out->tokenizer = model_tokenizer_text(&out->model);
    return OK;
}

enum status source_take_metadata(struct graph *graph, const struct run *run, uint32_t stage,
                                 struct trace *trace)
{
    uint32_t origin = pipeline_find_origin(&run->pipeline, stage);
    const struct store_output *model = store_result_find(&run->results[origin], "model"),
                              *names = store_result_find(&run->results[origin], "names");
    return origin != stage && model && names
               ? model_take_metadata(graph, run->store, model->id, names->id, trace)
               : OK;
}

static void ignore_stage(void *context, const struct stage_event *event)
{
    (void)context, (void)event;
}

/* The stage's result, from a look at the store: nothing is computed here. */
static enum status open_stage(struct model_source *out, const char *file, const char *name,
                              const struct source_options *options, struct trace *trace)
{
    struct run_options dry = {.store = options->store,
                              .numerics = options->numerics,
                              .device = {.device = options->device},
                              .mode = RUN_LOOK,
                              .events = {.stage = ignore_stage}};
    struct run run;
    TRY(run_open(&run, file, &dry, trace));
    uint32_t number = pipeline_find_stage(&run.pipeline, name);
    enum status status = number == STAGE_NONE
                             ? status_fail(trace, NOT_FOUND, "%s has no stage \"%s\"", file, name)
                             : run_stages(&run, trace);
    uint32_t maker = number;
    if (status == OK && !run.pipeline.stages.items[number].kind->makes_model)
        maker = run.pipeline.stages.items[number].model;
    if (status == OK && !run.done[maker])
        status =
            status_fail(trace, NOT_FOUND, "stage \"%s\" of %s has not run yet: espalier run %s --until %s",
                        name, file, file, name);
    if (status == OK)
        status = store_open(&out->store, store_path(run.store), STORE_EXISTING, trace);
    if (status == OK)
        status = take_model(out, out->store, store_result_find(&run.results[maker], "model")->id,
                            &run.results[maker], trace);
    if (status == OK)
        status = source_take_metadata(out->model.graph, &run, maker, trace);
    run_release(&run);
    return status;
}

static enum status open_id(struct model_source *out, const char *spec, const struct source_options *options,
                           struct trace *trace)
{
    const char *where = options->store ? options->store : ".espalier";
    struct hash128 id;
    TRY_WITH(
        trace, store_open(&out->store, where, STORE_EXISTING, trace),
        "while looking for model \"%s\": it is no .onnx, folder, .ir or FILE.yaml:STAGE, so it must be an object id",
        spec);
    TRY(store_find_prefix(&id, out->store, str_from(spec), trace));
    return take_model(out, out->store, id, NULL, trace);
}

static bool is_like_an_id(const char *spec)
{
    const char *digits = strncmp(spec, "xxh3:", 5) == 0 ? spec + 5 : spec;
    return *digits && digits[strspn(digits, "0123456789abcdef")] == '\0';
}

static enum status open_any(struct model_source *out, const char *spec, const struct source_options *options,
                            struct trace *trace)
{
    if (str_ends_with(str_from(spec), ".onnx") || str_ends_with(str_from(spec), ".gguf") ||
        is_directory(spec))
        return open_import(out, spec, options, trace);
    if (str_ends_with(str_from(spec), ".ir"))
        return open_text(out, spec, trace);
    const char *colon = strrchr(spec, ':');
    struct str before = {spec, colon ? (size_t)(colon - spec) : 0};
    if (str_ends_with(before, ".yaml") || str_ends_with(before, ".yml")) {
        char *file = strndup(before.data, before.length);
        enum status status = open_stage(out, file, colon + 1, options, trace);
        free(file);
        return status;
    }
    if (file_exists(spec) || !is_like_an_id(spec))
        return status_fail(
            trace, file_exists(spec) ? UNSUPPORTED : NOT_FOUND,
            "%s: expected an .onnx file, a Hugging Face folder, a .gguf file, an .ir file, FILE.yaml:STAGE or an object id, found %s",
            spec, file_exists(spec) ? "a file of another kind" : "nothing of that name");
    return open_id(out, spec, options, trace);
}

enum status model_source_open(struct model_source *out, const char *spec,
                              const struct source_options *options, struct trace *trace)
{
    *out = (struct model_source){0};
    enum status status = open_any(out, spec, options, trace);
    if (status != OK)
        model_source_release(out);
    return status;
}

enum status model_source_tokenizer(struct tokenizer **out, const struct model_source *source,
                                   const char *given, struct trace *trace)
{
    *out = NULL;
    if (given)
        return tokenizer_open(out, given, trace);
    if (source->tokenizer.length == 0)
        return OK;
    return str_is(source->tokenizer, "bytes") ? tokenizer_open(out, "bytes", trace)
                                              : tokenizer_open_text(out, source->tokenizer, trace);
}

void model_source_release(struct model_source *source)
{
    graph_destroy(source->parsed);
    builder_release(&source->text);
    imported_model_release(&source->imported);
    model_release(&source->model);
    store_close(source->store);
    *source = (struct model_source){0};
}
