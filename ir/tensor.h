/* Where a weight's elements are: a view into mapped bytes. Weights are never copied to the heap; importing,
 * slicing and transposing only change the view, and the view is carried out while streaming.
 *
 * Element (i_0, ..., i_{r-1}) of the view is element
 *     offset + sum over axes a of stride[a] * (index[a] ? index[a][i_a] : i_a)
 * of the source, counted in elements. Index lists live in an arena that outlives the view. */
#ifndef IR_TENSOR_H
#define IR_TENSOR_H

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "ir/type.h"
#include <stdint.h>

enum { TENSOR_MAX_RANK = 4 };

struct tensor_view {
    const struct mapping *mapping; /* borrowed; NULL when `base` is plain memory */
    const uint8_t *base;           /* first byte of the source array; any alignment */
    size_t base_size;              /* bytes available at base */
    enum dtype dtype;
    uint32_t rank;
    int64_t dims[TENSOR_MAX_RANK];
    int64_t strides[TENSOR_MAX_RANK]; /* elements */
    int64_t offset;                   /* elements */
    const uint32_t *index[TENSOR_MAX_RANK];
};

/* A dense row-major view; INVALID when dims overflow or do not fit base_size. */
enum status tensor_view_dense(struct tensor_view *out, const struct mapping *mapping, const uint8_t *base,
                              size_t base_size, enum dtype dtype, uint32_t rank, const int64_t *dims,
                              struct trace *trace) MUST_CHECK;
struct tensor_view tensor_view_transpose(const struct tensor_view *view); /* rank 2 */
/* Keeps positions keep[0..count) of `axis`, in that order; composes with an index that is there already. */
struct tensor_view tensor_view_take(const struct tensor_view *view, struct arena *arena, uint32_t axis,
                                    const uint32_t *keep, uint32_t count);
bool tensor_view_is_dense(const struct tensor_view *view); /* row-major, no gaps, no index lists */
int64_t tensor_view_count(const struct tensor_view *view);
size_t tensor_view_bytes(const struct tensor_view *view); /* count * element size */
/* A matrix whose rows lie across those of its source, as after a transposition. */
bool tensor_view_is_across(const struct tensor_view *view);

/* Elements [first, first + count) in row-major order of the view. _raw gives stored elements (little endian),
 * _f32 widens to f32 exactly (f16, bf16) without flushing. The caller's buffer holds `count` elements. */
void tensor_view_read_raw(const struct tensor_view *view, int64_t first, int64_t count, void *out);
void tensor_view_read_f32(const struct tensor_view *view, int64_t first, int64_t count, float *out);
/* Lets the kernel drop the pages behind elements [first, first + count) that no later element is likely to
 * need; reading whole rows of a transposed view drops its pages itself. */
void tensor_view_drop(const struct tensor_view *view, int64_t first, int64_t count);
/* The same for the whole source: what pieces shared, and so did not drop. */
void tensor_view_drop_source(const struct tensor_view *view);
/* How many elements to read at a time: 1 MiB; of a transposed view whole rows, up to 64 MiB, as every panel
 * reads the whole source. */
int64_t tensor_view_panel(const struct tensor_view *view);

/* Streams all elements in such panels to `sink`, dropping pages as it goes. */
struct tensor_sink {
    enum status (*write)(void *payload, const void *bytes, size_t length, struct trace *trace);
    void *payload;
};
enum status tensor_view_stream(const struct tensor_view *view, struct tensor_sink sink,
                               struct trace *trace) MUST_CHECK;

#endif
