/* See emit/output.h. */
#include "emit/output.h"
#include <stdlib.h>
#include <string.h>

enum { ZEROS = 4096 };

enum status output_open(struct output_file *out, const char *path, struct trace *trace)
{
    TRY(file_writer_open(&out->writer, path, trace));
    out->sha = sha256_create();
    return OK;
}

enum status output_add(struct output_file *file, const void *bytes, size_t length, struct trace *trace)
{
    sha256_update(file->sha, bytes, length);
    return file_writer_add(&file->writer, bytes, length, trace);
}

enum status output_pad(struct output_file *file, uint64_t length, struct trace *trace)
{
    static const uint8_t zeros[ZEROS];
    while (length > 0) {
        size_t part = length < ZEROS ? (size_t)length : ZEROS;
        TRY(output_add(file, zeros, part, trace));
        length -= part;
    }
    return OK;
}

static enum status add_panels(struct output_file *file, const struct tensor_view *view, float factor,
                              float *panel, struct trace *trace)
{
    int64_t count = tensor_view_count(view), most = tensor_view_panel(view);
    for (int64_t first = 0; first < count; first += most) {
        int64_t n = count - first < most ? count - first : most;
        tensor_view_read_f32(view, first, n, panel);
        if (factor != 1)
            for (int64_t i = 0; i < n; i++)
                panel[i] *= factor;
        TRY(output_add(file, panel, (size_t)n * sizeof *panel, trace));
        tensor_view_drop(view, first, n);
    }
    return OK;
}

/* What panels shared, and so did not drop. */
static void drop_source(const struct tensor_view *view)
{
    if (view->mapping && !tensor_view_is_dense(view))
        mapping_drop(view->mapping, (size_t)(view->base - view->mapping->data), view->base_size);
}

enum status output_add_weight(struct output_file *file, const struct tensor_view *view, float factor,
                              struct trace *trace)
{
    if (!view->base)
        return status_fail(trace, INVALID, "the weight has a shape but no content");
    if (view->mapping)
        TRY(mapping_check(view->mapping, "the file of the weights", trace));
    float *panel = malloc((size_t)tensor_view_panel(view) * sizeof *panel);
    if (!panel)
        BUG("out of memory");
    enum status status = add_panels(file, view, factor, panel, trace);
    free(panel);
    drop_source(view);
    return status;
}

uint64_t output_length(const struct output_file *file)
{
    return file->writer.written;
}

enum status output_commit(struct output_file *file, struct emitted *list, const char *name,
                          struct trace *trace)
{
    struct emitted_file entry = {.name = arena_copy_string(&list->arena, name, strlen(name)),
                                 .bytes = file->writer.written};
    TRY(file_writer_commit(&file->writer, trace));
    sha256_finish(file->sha, entry.sha256);
    *VEC_PUSH(&list->arena, &list->files) = entry;
    return OK;
}

void output_release(struct output_file *file)
{
    file_writer_release(&file->writer);
    if (file->sha)
        sha256_destroy(file->sha);
    *file = (struct output_file){0};
}

void emitted_release(struct emitted *emitted)
{
    arena_release(&emitted->arena);
    *emitted = (struct emitted){0};
}

const char *output_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
