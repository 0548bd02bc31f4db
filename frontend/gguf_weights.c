/* The tensors of a GGUF file as weights. Those in blocks are decoded to floats, once, into a file without a
 * name: what a large model needs stays on the disk and in the kernel's cache. */
#include "frontend/gguf.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 4096 * QUANTISED_MAX_BLOCK }; /* floats that are decoded at a time */

struct decoder_file {
    int fd;
    float *piece;
    struct trace *trace;
};

/* A file without a name, in $TMPDIR or /tmp: it is gone when it is closed. */
static enum status open_scratch(int *out, struct trace *trace)
{
    const char *directory = getenv("TMPDIR");
    char name[PATH_MAX];
    directory = directory && *directory ? directory : "/tmp";
    snprintf(name, sizeof name, "%s/espalier-XXXXXX", directory);
    *out = mkostemp(name, O_CLOEXEC);
    if (*out < 0)
        return status_fail(trace, file_status(errno), "cannot create a file in %s: %s", directory,
                           strerror(errno));
    unlink(name);
    return OK;
}

static enum status write_all(int fd, const void *bytes, size_t length, struct trace *trace)
{
    for (size_t done = 0; done < length;) {
        ssize_t written = write(fd, (const uint8_t *)bytes + done, length - done);
        if (written < 0 && errno != EINTR)
            return status_fail(trace, file_status(errno), "cannot write decoded weights: %s",
                               strerror(errno));
        done += written > 0 ? (size_t)written : 0;
    }
    return OK;
}

static enum status decode(struct decoder_file *d, const struct gguf_tensor *tensor)
{
    const struct quantised *q = tensor->quantised;
    uint64_t blocks = tensor->size / q->bytes, each = PIECE / q->elements;
    for (uint64_t first = 0; first < blocks; first += each) {
        uint64_t count = blocks - first < each ? blocks - first : each;
        for (uint64_t i = 0; i < count; i++)
            q->decode(d->piece + i * q->elements, tensor->data + (first + i) * q->bytes);
        size_t bytes = (size_t)count * q->elements * sizeof *d->piece;
        TRY(write_all(d->fd, d->piece, bytes, d->trace));
    }
    return OK;
}

static enum status decode_all(struct decoder_file *d, const struct gguf_file *file)
{
    for (uint32_t i = 0; i < file->tensors.count; i++)
        if (file->tensors.items[i].quantised)
            TRY_WITH(d->trace, decode(d, &file->tensors.items[i]),
                     "while decoding the tensor '" STR_FORMAT "'", STR_ARGUMENT(file->tensors.items[i].name));
    return OK;
}

/* Maps what is decoded; the model keeps it. */
static enum status map_decoded(const struct mapping **out, struct imported_model *model,
                               const struct gguf_file *file, struct trace *trace)
{
    struct arena arena = {0};
    struct decoder_file d = {.piece = ARENA_ARRAY(&arena, float, PIECE), .trace = trace};
    struct mapping *mapping = ARENA_NEW(&model->arena, struct mapping);
    enum status status = open_scratch(&d.fd, trace);
    if (status == OK) {
        status = decode_all(&d, file);
        if (status != OK)
            close(d.fd);
        else
            status = mapping_open_fd(mapping, d.fd, "decoded weights", trace);
    }
    arena_release(&arena);
    if (status == OK)
        *VEC_PUSH(&model->arena, &model->files) = mapping;
    *out = mapping;
    return status;
}

/* "q4_1 and q8_0" in the order of their first tensors. */
static void note_types(struct imported_model *model, const struct gguf_file *file)
{
    struct builder list = {0};
    for (uint32_t i = 0; i < file->tensors.count; i++) {
        const struct quantised *q = file->tensors.items[i].quantised;
        if (q && !strstr(builder_text(&list), q->name))
            builder_printf(&list, "%s%s", list.length > 0 ? ", " : "", q->name);
    }
    if (list.length > 0)
        *VEC_PUSH(&model->arena, &model->notes) = str_from(
            arena_printf(&model->arena, "weights stored as %s were decoded to f32", builder_text(&list)));
    builder_release(&list);
}

static bool any_quantised(const struct gguf_file *file)
{
    for (uint32_t i = 0; i < file->tensors.count; i++)
        if (file->tensors.items[i].quantised)
            return true;
    return false;
}

enum status gguf_add_weights(struct weight_set *set, struct imported_model *model, struct gguf_file *file,
                             const struct mapping *mapping, struct trace *trace)
{
    const struct mapping *decoded = NULL;
    uint64_t at = 0;
    if (any_quantised(file))
        TRY(map_decoded(&decoded, model, file, trace));
    note_types(model, file);
    for (uint32_t i = 0; i < file->tensors.count; i++) {
        const struct gguf_tensor *tensor = &file->tensors.items[i];
        struct stored_weight weight = {
            .name = tensor->name, .type = "float", .rank = tensor->rank, .is_float = true};
        const struct mapping *source = tensor->quantised ? decoded : mapping;
        const uint8_t *data = tensor->quantised ? decoded->data + at : tensor->data;
        size_t size = tensor->size;
        if (tensor->quantised) {
            size = tensor->size / tensor->quantised->bytes * tensor->quantised->elements * sizeof(float);
            at += size;
        }
        memcpy(weight.dims, tensor->dims, tensor->rank * sizeof *tensor->dims);
        TRY(tensor_view_dense(&weight.view, source, data, size, tensor->dtype, tensor->rank, tensor->dims,
                              trace));
        TRY(weight_set_add(set, &weight, trace));
    }
    return OK;
}
