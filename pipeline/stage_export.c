/* export: files for other programs. The stage's object lists them with their SHA-256; the lock names the
 * SHA-256 of the main file of the first form, so that sha256sum prints what the lock says. Under
 * `verify` files go to a temporary folder that is removed. */
#include "base/file.h"
#include "base/log.h"
#include "pipeline/export_form.h"
#include "pipeline/run.h"
#include "pipeline/source.h"
#include "pipeline/stage.h"
#include "store/input.h"
#include "store/object.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exporter {
    struct stage_run *stage;
    struct model model;
    struct emitted files[EXPORT_FORMS];
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

static enum emit_missing missing_of(const struct settings *s)
{
    return settings_has(s, "fill") ? EMIT_FILLS_MISSING : EMIT_REFUSES_MISSING;
}

/* The folders above a target are made: after hours of training none must be missing. */
static enum status make_parent(struct exporter *x, const char *path, struct trace *trace)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return OK;
    return directory_create(arena_copy_string(&x->stage->arena, path, (size_t)(slash - path)), trace);
}

static struct export_request request_of(const struct exporter *x, const char *path)
{
    const struct settings *s = &x->stage->entry->settings;
    struct export_request request = {
        path,          x->model.graph,       x->model.tokenizer, settings_text(s, "type"),
        missing_of(s), EMIT_INTERFACE_SOURCE};
    if (!export_interface_from_name(settings_text(s, "interface"), &request.interface))
        BUG("interface %s is in settings.def only", settings_text(s, "interface"));
    return request;
}

static enum status write_form(struct exporter *x, uint32_t form, struct trace *trace)
{
    const struct settings *s = &x->stage->entry->settings;
    const char *target = settings_text(s, export_forms[form].name);
    const char *path = place(x, target);
    struct export_request request = request_of(x, path);
    TRY_WITH(trace, make_parent(x, path, trace), "while writing %s", target);
    TRY_WITH(trace, export_forms[form].write(&x->files[form], &request, trace), "while writing %s", target);
    return OK;
}

/* Nothing is written when one of the forms cannot be. */
static enum status write_files(struct exporter *x, struct trace *trace)
{
    const struct settings *s = &x->stage->entry->settings;
    struct export_request request = request_of(x, "");
    for (uint32_t i = 0; i < EXPORT_FORMS; i++)
        if (settings_has(s, export_forms[i].name))
            TRY(export_forms[i].check(&request, trace));
    for (uint32_t i = 0; i < EXPORT_FORMS; i++)
        if (settings_has(s, export_forms[i].name))
            TRY(write_form(x, i, trace));
    return OK;
}

static void list_files(struct builder *out, const char *form, const struct emitted *files)
{
    for (uint32_t i = 0; i < files->files.count; i++) {
        const struct emitted_file *f = &files->files.items[i];
        builder_printf(out, "%s %s %llu sha256:%s\n", form, f->name, (unsigned long long)f->bytes, f->sha256);
    }
}

static void record_notes(struct exporter *x)
{
    json_t *notes = json_array();
    for (uint32_t i = 0; i < EXPORT_FORMS; i++)
        for (uint32_t k = 0; k < x->files[i].notes.count; k++) {
            struct str note = x->files[i].notes.items[k];
            log_detail("export: %s: " STR_FORMAT, export_forms[i].name, STR_ARGUMENT(note));
            json_array_append_new(notes, json_stringn(note.data, note.length));
        }
    json_object_set_new(x->stage->record, "notes", notes);
}

/* SHA-256 of the file that people will check first. */
static const char *main_sha256(const struct exporter *x)
{
    for (uint32_t i = 0; i < EXPORT_FORMS; i++) {
        const char *main_file = export_forms[i].main_file;
        for (uint32_t k = 0; k < x->files[i].files.count; k++)
            if (!main_file || strcmp(x->files[i].files.items[k].name, main_file) == 0)
                return x->files[i].files.items[k].sha256;
    }
    BUG("an export wrote no model");
}

static enum status store_listing(struct exporter *x, struct trace *trace)
{
    struct builder text = {0};
    struct hash128 id;
    for (uint32_t i = 0; i < EXPORT_FORMS; i++)
        list_files(&text, export_forms[i].name, &x->files[i]);
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
        status = source_take_metadata(x.model.graph, stage->run, stage->entry->model, trace);
    if (status == OK)
        status = make_directory(&x, trace);
    if (status == OK)
        status = write_files(&x, trace);
    record_notes(&x);
    if (status == OK)
        status = store_listing(&x, trace);
    struct trace ignored = {0};
    if (x.directory && directory_remove(x.directory, &ignored) != OK && status == OK)
        status = status_fail(trace, IO, "%s", ignored.text);
    for (uint32_t i = 0; i < EXPORT_FORMS; i++)
        emitted_release(&x.files[i]);
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
    char form[32], name[256], sha256[SHA256_HEX];
    if (sscanf(line, "%31s %255s %*u sha256:%64s", form, name, sha256) != 3)
        return false;
    const struct export_form *f = export_form_find(form);
    const char *target = f ? settings_text(s, form) : "";
    char *path = f && f->main_file ? path_join(target, name) : path_beside(target, name);
    bool there = f && file_is(run, path, sha256);
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
