/* See frontend/decoded.h. */
#include "frontend/decoded.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum status decoded_open(struct decoded *out, struct trace *trace)
{
    const char *directory = getenv("TMPDIR");
    char name[PATH_MAX];
    directory = directory && *directory ? directory : "/tmp";
    snprintf(name, sizeof name, "%s/espalier-XXXXXX", directory);
    out->fd = mkostemp(name, O_CLOEXEC);
    out->is_open = out->fd >= 0;
    if (!out->is_open)
        return status_fail(trace, file_status(errno), "cannot create a file in %s: %s", directory,
                           strerror(errno));
    unlink(name);
    return OK;
}

enum status decoded_write(struct decoded *d, const float *values, size_t count, struct trace *trace)
{
    size_t length = count * sizeof *values;
    for (size_t done = 0; done < length;) {
        ssize_t written = write(d->fd, (const uint8_t *)values + done, length - done);
        if (written < 0 && errno != EINTR)
            return status_fail(trace, file_status(errno), "cannot write decoded weights: %s",
                               strerror(errno));
        done += written > 0 ? (size_t)written : 0;
    }
    return OK;
}

enum status decoded_map(const struct mapping **out, struct decoded *d, struct imported_model *model,
                        struct trace *trace)
{
    struct mapping *mapping = ARENA_NEW(&model->arena, struct mapping);
    d->is_open = false; /* the mapping's, or closed */
    TRY(mapping_open_fd(mapping, d->fd, "decoded weights", trace));
    /* There may be hundreds; nobody else can reach such a file to cut it off. */
    close(mapping->fd);
    mapping->fd = -1;
    *VEC_PUSH(&model->arena, &model->decoded) = mapping;
    *out = mapping;
    return OK;
}

void decoded_close(struct decoded *d)
{
    if (d->is_open)
        close(d->fd);
    *d = (struct decoded){0};
}

/* ---- what is not decoded ---- */

enum { SMALL = 1 << 16 }; /* elements, of whatever may be read while the graph is made */

bool decoded_is_left_out(const struct imported_model *model, uint64_t count)
{
    return model->use == IMPORT_TO_LOOK && count > SMALL;
}

enum status decoded_skip(struct decoded *d, uint64_t count, struct trace *trace)
{
    off_t at = lseek(d->fd, 0, SEEK_END);
    if (at < 0 || count > (uint64_t)(INT64_MAX - at) / sizeof(float))
        return status_fail(trace, INVALID, "decoded weights would be too large for a file");
    at += (off_t)(count * sizeof(float));
    if (ftruncate(d->fd, at) != 0 || lseek(d->fd, 0, SEEK_END) != at)
        return status_fail(trace, file_status(errno), "cannot make room for weights: %s", strerror(errno));
    return OK;
}

void decoded_add_left_out(struct imported_model *model, const struct undecoded *undecoded)
{
    struct undecoded *copy = ARENA_NEW(&model->arena, struct undecoded);
    *copy = *undecoded;
    *VEC_PUSH(&model->arena, &model->undecoded) = copy;
}

const struct undecoded *decoded_find_left_out(const struct imported_model *model,
                                              const struct tensor_view *view)
{
    for (uint32_t i = 0; i < model->undecoded.count; i++)
        if (model->undecoded.items[i]->base == view->base && view->offset == 0)
            return model->undecoded.items[i];
    return NULL;
}

bool undecoded_equal(const struct undecoded *a, const struct undecoded *b)
{
    bool are_equal = a->rule == b->rule && a->parameter == b->parameter;
    for (uint32_t i = 0; are_equal && i < UNDECODED_PARTS; i++)
        are_equal = a->parts[i].data == b->parts[i].data ? a->parts[i].length == b->parts[i].length
                                                         : str_equal(a->parts[i], b->parts[i]);
    return are_equal;
}
