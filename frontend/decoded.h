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

/* ---- what is not decoded, because the graph is only looked at ---- */

enum { UNDECODED_PARTS = 3 };

/* A weight whose elements read as 0, and the bytes that say what they are. */
struct undecoded {
    const uint8_t *base; /* of its views */
    const void *rule;    /* by which they would be decoded; with its parameter, and the parts, all of it */
    int64_t parameter;
    struct str parts[UNDECODED_PARTS];
};

/* Is a weight of so many elements left as it is? */
bool decoded_is_left_out(const struct imported_model *model, uint64_t count);
/* Room for so many elements, which takes none on the disk. */
enum status decoded_skip(struct decoded *d, uint64_t count, struct trace *trace) MUST_CHECK;
void decoded_add_left_out(struct imported_model *model, const struct undecoded *undecoded);
/* NULL where the elements are there. */
const struct undecoded *decoded_find_left_out(const struct imported_model *model,
                                              const struct tensor_view *view);
bool undecoded_equal(const struct undecoded *a, const struct undecoded *b);

#endif
