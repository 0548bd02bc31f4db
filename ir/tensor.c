/* Tensor views: making, composing and reading them. Reading goes through row-major order of the view; dense
 * views are copied in one piece, others element by element with the inner axis unrolled into a stride. */
#include "ir/tensor.h"
#include "shaders/scalar/scalar.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PANEL_BYTES = 1 << 20, ACROSS_BYTES = 64 << 20, ACROSS_ROWS = 16 };

enum status tensor_view_dense(struct tensor_view *out, const struct mapping *mapping, const uint8_t *base,
                              size_t base_size, enum dtype dtype, uint32_t rank, const int64_t *dims,
                              struct trace *trace)
{
    if (rank > TENSOR_MAX_RANK)
        return status_fail(trace, UNSUPPORTED, "tensor has %" PRIu32 " axes, at most %d are supported", rank,
                           TENSOR_MAX_RANK);
    *out = (struct tensor_view){
        .mapping = mapping, .base = base, .base_size = base_size, .dtype = dtype, .rank = rank};
    size_t bytes = dtype_size(dtype);
    int64_t stride = 1;
    for (uint32_t a = rank; a-- > 0;) {
        if (dims[a] < 0 || !size_multiply(bytes, (size_t)dims[a], &bytes))
            return status_fail(trace, INVALID, "tensor axis %" PRIu32 " has size %" PRId64, a, dims[a]);
        out->dims[a] = dims[a];
        out->strides[a] = stride;
        stride *= dims[a];
    }
    if (bytes > base_size)
        return status_fail(trace, INVALID, "tensor needs %zu bytes, %zu are there", bytes, base_size);
    return OK;
}

struct tensor_view tensor_view_transpose(const struct tensor_view *view)
{
    assert(view->rank == 2);
    struct tensor_view t = *view;
    for (int a = 0; a < 2; a++) {
        t.dims[a] = view->dims[1 - a];
        t.strides[a] = view->strides[1 - a];
        t.index[a] = view->index[1 - a];
    }
    return t;
}

struct tensor_view tensor_view_take(const struct tensor_view *view, struct arena *arena, uint32_t axis,
                                    const uint32_t *keep, uint32_t count)
{
    assert(axis < view->rank && count > 0);
    struct tensor_view t = *view;
    uint32_t *index = ARENA_ARRAY(arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        assert(keep[i] < view->dims[axis]);
        index[i] = view->index[axis] ? view->index[axis][keep[i]] : keep[i];
    }
    t.index[axis] = index;
    t.dims[axis] = count;
    return t;
}

bool tensor_view_is_dense(const struct tensor_view *view)
{
    int64_t stride = 1;
    for (uint32_t a = view->rank; a-- > 0;) {
        if (view->index[a] || (view->dims[a] != 1 && view->strides[a] != stride))
            return false;
        stride *= view->dims[a];
    }
    return true;
}

int64_t tensor_view_count(const struct tensor_view *view)
{
    int64_t count = 1;
    for (uint32_t a = 0; a < view->rank; a++)
        count *= view->dims[a];
    return count;
}

size_t tensor_view_bytes(const struct tensor_view *view)
{
    return (size_t)tensor_view_count(view) * dtype_size(view->dtype);
}

/* Copies `count` elements of one inner row, beginning at its element `start`. */
static void copy_row(const struct tensor_view *view, int64_t row_offset, int64_t start, int64_t count,
                     uint8_t *out)
{
    size_t size = dtype_size(view->dtype);
    uint32_t inner = view->rank - 1;
    const uint32_t *index = view->rank ? view->index[inner] : NULL;
    int64_t stride = view->rank ? view->strides[inner] : 1;
    const uint8_t *row = view->base + (size_t)row_offset * size;
    if (!index && stride == 1) {
        memcpy(out, row + (size_t)start * size, (size_t)count * size);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t at = (index ? index[start + i] : start + i) * stride;
        memcpy(out + (size_t)i * size, row + (size_t)at * size, size);
    }
}

bool tensor_view_is_across(const struct tensor_view *view)
{
    return view->rank == 2 && view->strides[0] < view->strides[1];
}

static int64_t position(const struct tensor_view *view, uint32_t axis, int64_t i)
{
    return (view->index[axis] ? view->index[axis][i] : i) * view->strides[axis];
}

/* Drops the source's rows that positions [first, first + count) of the axis of longer stride stand for. */
static void drop_positions(const struct tensor_view *view, uint32_t axis, int64_t first, int64_t count)
{
    int64_t low = INT64_MAX, high = 0, size = (int64_t)dtype_size(view->dtype);
    for (int64_t i = first; i < first + count; i++) {
        int64_t at = position(view, axis, i);
        low = at < low ? at : low;
        high = at > high ? at : high;
    }
    if (!view->mapping || count == 0)
        return;
    int64_t start = view->base - view->mapping->data + (view->offset + low) * size;
    mapping_drop(view->mapping, (size_t)start, (size_t)((high - low + view->strides[axis]) * size));
}

/* Whole rows of such a matrix, by strips of source rows, whose pages are dropped when they have been read:
 * what is resident does not grow with the matrix, and both sides are read and written in runs. */
static void read_across(const struct tensor_view *view, int64_t row, int64_t rows, uint8_t *out)
{
    enum { STRIP = 512, SQUARE = 32 };
    int64_t columns = view->dims[1];
    size_t size = dtype_size(view->dtype);
    for (int64_t strip = 0; strip < columns; strip += STRIP) {
        int64_t end = strip + STRIP < columns ? strip + STRIP : columns;
        for (int64_t j0 = strip; j0 < end; j0 += SQUARE)
            for (int64_t i0 = 0; i0 < rows; i0 += SQUARE)
                for (int64_t i = i0; i < i0 + SQUARE && i < rows; i++) {
                    int64_t at = view->offset + position(view, 0, row + i);
                    for (int64_t j = j0; j < j0 + SQUARE && j < end; j++) {
                        const uint8_t *from = view->base + (size_t)(at + position(view, 1, j)) * size;
                        uint8_t *to = out + (size_t)(i * columns + j) * size;
                        if (size == sizeof(float))
                            memcpy(to, from, sizeof(float)); /* a known size is one instruction */
                        else
                            memcpy(to, from, size);
                    }
                }
        drop_positions(view, 1, strip, end - strip);
    }
}

void tensor_view_read_raw(const struct tensor_view *view, int64_t first, int64_t count, void *out)
{
    assert(first >= 0 && count >= 0 && first + count <= tensor_view_count(view));
    uint8_t *to = out;
    if (count == 0)
        return;
    bool has_rows = tensor_view_is_across(view) && first % view->dims[1] == 0 && count % view->dims[1] == 0;
    bool is_last = first + count == tensor_view_count(view); /* what is left of a stream of panels */
    if (has_rows && (is_last || count / view->dims[1] >= ACROSS_ROWS)) {
        read_across(view, first / view->dims[1], count / view->dims[1], out);
        return;
    }
    int64_t inner = view->rank ? view->dims[view->rank - 1] : 1;
    while (count > 0) {
        int64_t row = first / inner, start = first % inner;
        int64_t run = inner - start < count ? inner - start : count;
        int64_t offset = view->offset;
        for (uint32_t a = view->rank ? view->rank - 1 : 0; a-- > 0;) {
            int64_t i = row % view->dims[a];
            row /= view->dims[a];
            offset += (view->index[a] ? view->index[a][i] : i) * view->strides[a];
        }
        copy_row(view, offset, start, run, to);
        to += (size_t)run * dtype_size(view->dtype);
        first += run, count -= run;
    }
}

static void widen(enum dtype dtype, int64_t count, const uint16_t *in, float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = dtype == DTYPE_F16 ? gm_half_to_float(in[i]) : gm_bf16_to_float(in[i]);
}

void tensor_view_read_f32(const struct tensor_view *view, int64_t first, int64_t count, float *out)
{
    assert(view->dtype != DTYPE_I32);
    if (view->dtype == DTYPE_F32) {
        tensor_view_read_raw(view, first, count, out);
        return;
    }
    /* Into the second half of the buffer at once, so that whole rows are read as such, then widened from the
     * front: what is written never reaches what is still to be read. */
    enum { PIECE = 1024 };
    uint16_t piece[PIECE];
    uint8_t *stored = (uint8_t *)out + (size_t)count * sizeof *piece;
    tensor_view_read_raw(view, first, count, stored);
    for (int64_t done = 0; done < count;) {
        int64_t n = count - done < PIECE ? count - done : PIECE;
        memcpy(piece, stored + (size_t)done * sizeof *piece, (size_t)n * sizeof *piece);
        widen(view->dtype, n, piece, out + done);
        done += n;
    }
}

void tensor_view_drop(const struct tensor_view *view, int64_t first, int64_t count)
{
    if (!view->mapping || count == 0)
        return;
    if (!tensor_view_is_dense(view)) {
        if (view->rank == 2 && !tensor_view_is_across(view))
            drop_positions(view, 0, first / view->dims[1], (first % view->dims[1] + count) / view->dims[1]);
        return;
    }
    size_t size = dtype_size(view->dtype);
    size_t start = (size_t)(view->base - view->mapping->data) + (size_t)(view->offset + first) * size;
    mapping_drop(view->mapping, start, (size_t)count * size);
}

void tensor_view_drop_source(const struct tensor_view *view)
{
    if (view->mapping)
        mapping_drop(view->mapping, (size_t)(view->base - view->mapping->data), view->base_size);
}

int64_t tensor_view_panel(const struct tensor_view *view)
{
    int64_t size = (int64_t)dtype_size(view->dtype), rows;
    if (!tensor_view_is_across(view) || view->dims[1] == 0)
        return PANEL_BYTES / size;
    rows = ACROSS_BYTES / size / view->dims[1];
    rows = rows < view->dims[0] ? rows : view->dims[0];
    return (rows > 1 ? rows : 1) * view->dims[1];
}

enum status tensor_view_stream(const struct tensor_view *view, struct tensor_sink sink, struct trace *trace)
{
    int64_t count = tensor_view_count(view), size = (int64_t)dtype_size(view->dtype);
    int64_t panel = tensor_view_panel(view);
    if (view->mapping)
        TRY(mapping_check(view->mapping, "weights", trace));
    uint8_t *buffer = malloc((size_t)(panel * size));
    if (!buffer)
        BUG("out of memory");
    enum status status = OK;
    for (int64_t first = 0; first < count && status == OK; first += panel) {
        int64_t n = count - first < panel ? count - first : panel;
        tensor_view_read_raw(view, first, n, buffer);
        status = sink.write(sink.payload, buffer, (size_t)(n * size), trace);
        tensor_view_drop(view, first, n);
    }
    tensor_view_drop_source(view);
    free(buffer);
    return status;
}
