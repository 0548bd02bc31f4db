/* Comparing weights byte by byte: in runs where both lie in rows, else in tiles, so that a matrix and a
 * transposed one are both read in runs. */
#include "frontend/lower.h"
#include <assert.h>
#include <string.h>

enum { TILE = 128, SAMPLES = 64, SAMPLE = 8, SAMPLED_SIZE = 1 << 23 };

static const uint8_t *element(const struct tensor_view *view, int64_t row, int64_t column)
{
    int64_t at = view->offset + row * view->strides[0] + (view->rank > 1 ? column * view->strides[1] : 0);
    return view->base + (size_t)at * dtype_size(view->dtype);
}

static int64_t columns_of(const struct tensor_view *view)
{
    return view->rank > 1 ? view->dims[1] : 1;
}

static bool is_in_rows(const struct tensor_view *view)
{
    return view->rank == 2 && view->strides[1] == 1;
}

static bool tile_equal(const struct tensor_view *a, const struct tensor_view *b, int64_t row, int64_t column,
                       int64_t most)
{
    size_t size = dtype_size(a->dtype);
    int64_t columns = columns_of(a);
    for (int64_t i = row; i < row + most && i < a->dims[0]; i++)
        for (int64_t j = column; j < column + most && j < columns; j++)
            if (memcmp(element(a, i, j), element(b, i, j), size) != 0)
                return false;
    return true;
}

static bool rows_equal(const struct tensor_view *a, const struct tensor_view *b)
{
    size_t size = (size_t)a->dims[1] * dtype_size(a->dtype);
    for (int64_t row = 0; row < a->dims[0]; row++)
        if (memcmp(element(a, row, 0), element(b, row, 0), size) != 0)
            return false;
    return true;
}

bool weights_have_one_shape(const struct tensor_view *a, const struct tensor_view *b)
{
    assert(a->rank >= 1 && a->rank <= 2);
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) == 0;
}

static bool are_one(const struct tensor_view *a, const struct tensor_view *b)
{
    return a->base == b->base && a->offset == b->offset && !a->index[0] && !a->index[1] && !b->index[0] &&
           !b->index[1] && memcmp(a->strides, b->strides, a->rank * sizeof a->strides[0]) == 0;
}

bool weights_equal(const struct tensor_view *a, const struct tensor_view *b)
{
    if (!weights_have_one_shape(a, b))
        return false;
    if (are_one(a, b))
        return true;
    if (is_in_rows(a) && is_in_rows(b))
        return rows_equal(a, b);
    for (int64_t row = 0; row < a->dims[0]; row += TILE)
        for (int64_t column = 0; column < columns_of(a); column += TILE)
            if (!tile_equal(a, b, row, column, TILE))
                return false;
    return true;
}

/* Tiles on the diagonal, the first and the last among them. */
bool weights_look_equal(bool *is_certain, const struct tensor_view *a, const struct tensor_view *b)
{
    int64_t rows = a->dims[0], columns = columns_of(a);
    *is_certain = !weights_have_one_shape(a, b) || are_one(a, b) || tensor_view_count(a) <= SAMPLED_SIZE;
    if (*is_certain)
        return weights_equal(a, b);
    for (int64_t i = 0; i < SAMPLES; i++) {
        int64_t row = rows > SAMPLE ? (rows - SAMPLE) * i / (SAMPLES - 1) : 0,
                column = columns > SAMPLE ? (columns - SAMPLE) * i / (SAMPLES - 1) : 0;
        if (!tile_equal(a, b, row, column, SAMPLE)) {
            *is_certain = true;
            return false;
        }
    }
    return true;
}
