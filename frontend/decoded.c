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
