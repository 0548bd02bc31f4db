/* See emit/output.h. */
#include "emit/output.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZEROS = 4096, ENCODED = 8192 }; /* ENCODED: elements, a multiple of every block */

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

/* Elements, whole blocks of any encoding, through a small buffer. */
static enum status add_encoded(struct output_file *file, const float *elements, int64_t count,
                               const struct encoding *encoding, struct trace *trace)
{
    uint8_t encoded[ENCODED * sizeof(float)];
    for (int64_t at = 0; at < count; at += ENCODED) {
        size_t n = (size_t)(count - at < ENCODED ? count - at : ENCODED);
        if (!encoding->encode(encoded, elements + at, n))
            return status_fail(trace, INVALID, "an element is too large for %s", encoding->name);
        TRY(output_add(file, encoded, n / encoding->block * encoding->bytes, trace));
    }
    return OK;
}

/* `panel` has room for `most` elements, whole blocks. */
static enum status add_panels(struct output_file *file, const struct tensor_view *view, float factor,
                              const struct encoding *encoding, float *panel, int64_t most,
                              struct trace *trace)
{
    int64_t count = tensor_view_count(view);
    assert(count % encoding->block == 0);
    for (int64_t first = 0; first < count; first += most) {
        int64_t n = count - first < most ? count - first : most;
        tensor_view_read_f32(view, first, n, panel);
        if (factor != 1)
            for (int64_t i = 0; i < n; i++)
                panel[i] *= factor;
        TRY(add_encoded(file, panel, n, encoding, trace));
        tensor_view_drop(view, first, n);
    }
    return OK;
}

enum status output_add_weight(struct output_file *file, const struct tensor_view *view, float factor,
                              const struct encoding *encoding, struct trace *trace)
{
    if (!view->base)
        return status_fail(trace, INVALID, "the weight has a shape but no content");
    if (view->mapping)
        TRY(mapping_check(view->mapping, "the file of the weights", trace));
    int64_t most = tensor_view_panel(view);
    most += (encoding->block - most % encoding->block) % encoding->block;
    float *panel = malloc((size_t)most * sizeof *panel);
    if (!panel)
        BUG("out of memory");
    enum status status = add_panels(file, view, factor, encoding, panel, most, trace);
    free(panel);
    tensor_view_drop_source(view);
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

void emitted_note(struct emitted *out, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    str_make_printable(line, "");
    *VEC_PUSH(&out->arena, &out->notes) =
        (struct str){arena_copy_string(&out->arena, line, strlen(line)), strlen(line)};
}

void emitted_note_metadata(struct emitted *out, const struct metadata *metadata,
                           bool (*is_kept)(struct str key))
{
    struct builder left_out = {0};
    for (uint32_t i = 0; i < metadata->entries.count; i++) {
        struct str key = metadata->entries.items[i].key;
        if (!is_kept || !is_kept(key))
            builder_printf(&left_out, "%s" STR_FORMAT, left_out.length > 0 ? ", " : "", STR_ARGUMENT(key));
    }
    if (left_out.length > 0)
        emitted_note(out, "metadata left out: %s", builder_text(&left_out));
    builder_release(&left_out);
}
