/* See emit/output.h. */
#include "emit/output.h"
#include <assert.h>
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

struct panels {
    float *elements;
    uint8_t *encoded; /* of as many elements */
    int64_t most;     /* elements, whole blocks */
};

static enum status add_panel(struct output_file *file, const struct panels *p, int64_t n, float factor,
                             const struct encoding *encoding, struct trace *trace)
{
    if (factor != 1)
        for (int64_t i = 0; i < n; i++)
            p->elements[i] *= factor;
    if (!encoding->encode(p->encoded, p->elements, (size_t)n))
        return status_fail(trace, INVALID, "an element is too large for %s", encoding->name);
    return output_add(file, p->encoded, (size_t)n / encoding->block * encoding->bytes, trace);
}

static enum status add_panels(struct output_file *file, const struct tensor_view *view, float factor,
                              const struct encoding *encoding, const struct panels *p, struct trace *trace)
{
    int64_t count = tensor_view_count(view);
    assert(count % encoding->block == 0);
    for (int64_t first = 0; first < count; first += p->most) {
        int64_t n = count - first < p->most ? count - first : p->most;
        tensor_view_read_f32(view, first, n, p->elements);
        TRY(add_panel(file, p, n, factor, encoding, trace));
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
    struct panels p = {.most = tensor_view_panel(view)};
    p.most += (encoding->block - p.most % encoding->block) % encoding->block;
    p.elements = malloc((size_t)p.most * sizeof *p.elements);
    p.encoded = malloc((size_t)p.most / encoding->block * encoding->bytes);
    if (!p.elements || !p.encoded)
        BUG("out of memory");
    enum status status = add_panels(file, view, factor, encoding, &p, trace);
    free(p.elements);
    free(p.encoded);
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
