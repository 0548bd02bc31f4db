/* Weights that a model's files hold quantised, decoded to floats once: into a file without a name, so that
 * what a large model needs stays on the disk and in the kernel's cache. */
#ifndef FRONTEND_DECODED_H
#define FRONTEND_DECODED_H

#include "frontend/frontend.h"

struct decoded {
    int fd;
    bool is_open; /* false in zeroed memory */
};

/* In $TMPDIR or /tmp. */
enum status decoded_open(struct decoded *out, struct trace *trace) MUST_CHECK;
enum status decoded_write(struct decoded *d, const float *values, size_t count,
                          struct trace *trace) MUST_CHECK;
/* All that was written, kept mapped by the model; `d` is closed. */
enum status decoded_map(const struct mapping **out, struct decoded *d, struct imported_model *model,
                        struct trace *trace) MUST_CHECK;
void decoded_close(struct decoded *d); /* accepts zeroed memory */

#endif
