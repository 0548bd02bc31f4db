/* export: files for other programs. The stage's object lists them with their SHA-256; the lock names the
 * SHA-256 of the ONNX file (else of model.safetensors), so that sha256sum prints what the lock says. Under
 * `verify` files go to a temporary folder that is removed. */
#include "emit/emit.h"
#include "pipeline/run.h"
#include "pipeline/stage.h"
#include "store/input.h"
#include "store/object.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exporter {
    struct stage_run *stage;
    struct model model;
    struct emitted onnx, hf;
    char *directory; /* temporary, under verify; else NULL */
};

/* Where a target goes: its own place, or the same name in the temporary folder. */
static const char *place(struct exporter *x, const char *path)
{
    if (!x->directory)
        return path;
    const char *name = strrchr(path, '/');
    return arena_printf(&x->stage->arena, "%s/%s", x->directory, name ? name + 1 : path);
}

static enum status make_directory(struct exporter *x, struct trace *trace)
{
    if (x->stage->run->options.exports != EXPORT_NOTHING)
        return OK;
    char *directory = arena_printf(&x->stage->arena, "%s/export-XXXXXX", store_path(stage_store(x->stage)));
    if (!mkdtemp(directory))
        return status_fail(trace, IO, "cannot create a temporary folder %s", directory);
    x->directory = directory;
    return OK;
}

static enum status write_files(struct exporter *x, struct trace *trace)
{
    const struct settings *s = &x->stage->entry->settings;
    const struct graph *graph = x->model.graph;
    if (settings_has(s, "onnx"))
        TRY(emit_onnx_check(graph, trace));
    if (settings_has(s, "hf")) /* nothing is written when one of the two cannot be */
        TRY(emit_hf_check(graph, trace));
    if (settings_has(s, "onnx"))
        TRY_WITH(trace, emit_onnx(&x->onnx, place(x, settings_text(s, "onnx")), graph, trace),
                 "while writing %s", settings_text(s, "onnx"));
    if (!settings_has(s, "hf"))
        return OK;
    struct emit_hf_options options = {.bos = -1, .eos = -1};
    if (x->model.tokenizer) {
        options.tokenizer_json = tokenizer_json(x->model.tokenizer);
        options.bos = tokenizer_bos(x->model.tokenizer);
        options.eos = tokenizer_eos(x->model.tokenizer);
    }
    TRY_WITH(trace, emit_hf(&x->hf, place(x, settings_text(s, "hf")), graph, &options, trace),
             "while writing %s", settings_text(s, "hf"));
    return OK;
}

static void list_files(struct builder *out, const char *form, const struct emitted *files)
{
    for (uint32_t i = 0; i < files->files.count; i++) {
        const struct emitted_file *f = &files->files.items[i];
        builder_printf(out, "%s %s %llu sha256:%s\n", form, f->name, (unsigned long long)f->bytes, f->sha256);
    }
}

/* SHA-256 of the file that people will check first. */
static const char *main_sha256(const struct exporter *x)
{
    if (x->onnx.files.count > 0)
        return x->onnx.files.items[0].sha256;
    for (uint32_t i = 0; i < x->hf.files.count; i++)
        if (strcmp(x->hf.files.items[i].name, "model.safetensors") == 0)
            return x->hf.files.items[i].sha256;
    BUG("an export wrote no model");
}

static enum status store_listing(struct exporter *x, struct trace *trace)
{
    struct builder text = {0};
    struct hash128 id;
    list_files(&text, "onnx", &x->onnx);
    list_files(&text, "hf", &x->hf);
    enum status status = store_put(&id, NULL, stage_store(x->stage), "files", text.data, text.length, trace);
    builder_release(&text);
    if (status == OK)
        stage_add_output(x->stage, "files", id, main_sha256(x));
    return status;
}

enum status stage_export(struct stage_run *stage, struct trace *trace)
{
    struct exporter x = {.stage = stage};
    enum status status = stage_model(&x.model, stage, stage->entry->model, trace);
    if (status == OK)
        status = make_directory(&x, trace);
    if (status == OK)
        status = write_files(&x, trace);
    if (status == OK)
        status = store_listing(&x, trace);
    struct trace ignored = {0};
    if (x.directory && directory_remove(x.directory, &ignored) != OK && status == OK)
        status = status_fail(trace, IO, "%s", ignored.text);
    emitted_release(&x.onnx);
    emitted_release(&x.hf);
    model_release(&x.model);
    return status;
}

/* ---- is a cached export still there? ---- */

static bool file_is(const struct run *run, const char *path, const char *sha256)
{
    struct store_input input;
    struct trace ignored = {0};
    return store_input_hash(&input, run->store, path, INPUT_REMEMBERED, &ignored) == OK &&
           strcmp(input.sha256, sha256) == 0;
}

static bool line_is_there(const struct run *run, const struct settings *s, char *line)
{
    char form[8], name[256], sha256[SHA256_HEX];
    if (sscanf(line, "%7s %255s %*u sha256:%64s", form, name, sha256) != 3)
        return false;
    bool onnx = strcmp(form, "onnx") == 0;
    const char *target = settings_text(s, onnx ? "onnx" : "hf");
    char *path = onnx ? path_beside(target, name) : path_join(target, name);
    bool there = file_is(run, path, sha256);
    free(path);
    return there;
}

bool stage_export_is_there(const struct run *run, uint32_t number, const struct store_result *result)
{
    if (run->options.exports == EXPORT_NOTHING)
        return true;
    const struct store_output *files = store_result_find(result, "files");
    struct store_object object = {0};
    struct trace ignored = {0};
    if (!files || store_open_object(&object, run->store, files->id, "files", OBJECT_VERIFY, &ignored) != OK)
        return false;
    bool there = true;
    for (size_t at = 0; there && at < object.size;) {
        const char *start = (const char *)object.data + at, *end = memchr(start, '\n', object.size - at);
        char *line = strndup(start, end ? (size_t)(end - start) : object.size - at);
        there = line_is_there(run, &run->pipeline.stages.items[number].settings, line);
        at += strlen(line) + 1;
        free(line);
    }
    store_object_release(&object);
    return there;
}
