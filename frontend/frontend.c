/* An import from beginning to end. */
#include "frontend/frontend.h"
#include "frontend/interface.h"
#include "frontend/lower.h"
#include "frontend/metadata.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static enum status import(struct imported_model *out, struct onnx_file *file, const char *path,
                          const struct import_options *options, struct trace *trace)
{
    TRY(onnx_file_open(file, out, path, options, trace));
    struct importer *im = ARENA_NEW(&file->arena, struct importer);
    *im = (struct importer){.file = file, .model = out, .arena = &file->arena};
    im->room.arena = im->terms.arena = &file->arena;
    TRY(import_order(im, trace));
    TRY(import_interpret(im, trace));
    TRY(lower_graph(&out->graph, im, trace));
    interface_finish(im, out->graph);
    metadata_read_onnx(out, file);
    import_note_storage(im);
    return OK;
}

enum status frontend_import_onnx(struct imported_model *out, const char *path,
                                 const struct import_options *options, struct trace *trace)
{
    static const struct import_options usual = {IMPORT_TRUSTED, IMPORT_TO_RUN};
    struct onnx_file file = {0};
    options = options ? options : &usual;
    *out = (struct imported_model){.use = options->use};
    enum status status = import(out, &file, path, options, trace);
    onnx_file_release(&file);
    if (status != OK) {
        trace_add(trace, "while importing %s", path);
        imported_model_release(out);
    }
    return status;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_gguf(const char *path)
{
    char start[4] = {0};
    FILE *file = fopen(path, "rb");
    bool found = file && fread(start, 1, sizeof start, file) == sizeof start && memcmp(start, "GGUF", 4) == 0;
    if (file)
        fclose(file);
    return found;
}

enum status frontend_import(struct imported_model *out, const char *path,
                            const struct import_options *options, struct trace *trace)
{
    if (is_directory(path))
        return frontend_import_hf(out, path, options, trace);
    return is_gguf(path) || str_ends_with(str_from(path), ".gguf")
               ? frontend_import_gguf(out, path, options, trace)
               : frontend_import_onnx(out, path, options, trace);
}

void imported_model_note(struct imported_model *model, const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    str_make_printable(line, "");
    *VEC_PUSH(&model->arena, &model->notes) = str_from(arena_copy_string(&model->arena, line, strlen(line)));
}

void imported_model_release(struct imported_model *model)
{
    graph_destroy(model->graph);
    for (uint32_t i = 0; i < model->files.count; i++)
        mapping_release(model->files.items[i]);
    for (uint32_t i = 0; i < model->decoded.count; i++)
        mapping_release(model->decoded.items[i]);
    arena_release(&model->arena);
    *model = (struct imported_model){0};
}
