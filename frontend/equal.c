/* Comparing weights byte by byte, in tiles, so that a matrix and a transposed one are both read in runs. */
#include "frontend/lower.h"
#include <assert.h>
#include <string.h>

enum { TILE = 128 };

static const uint8_t *element(const struct tensor_view *view, int64_t row, int64_t column)
{
    int64_t at = view->offset + row * view->strides[0] + (view->rank > 1 ? column * view->strides[1] : 0);
    return view->base + (size_t)at * dtype_size(view->dtype);
}

static bool tile_equal(const struct tensor_view *a, const struct tensor_view *b, int64_t row, int64_t column)
{
    size_t size = dtype_size(a->dtype);
    int64_t columns = a->rank > 1 ? a->dims[1] : 1;
    for (int64_t i = row; i < row + TILE && i < a->dims[0]; i++)
        for (int64_t j = column; j < column + TILE && j < columns; j++)
            if (memcmp(element(a, i, j), element(b, i, j), size) != 0)
                return false;
    return true;
}

bool weights_equal(const struct tensor_view *a, const struct tensor_view *b)
{
    assert(a->rank >= 1 && a->rank <= 2);
    if (a->dtype != b->dtype || a->rank != b->rank ||
        memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) != 0)
        return false;
    for (int64_t row = 0; row < a->dims[0]; row += TILE)
        for (int64_t column = 0; column < (a->rank > 1 ? a->dims[1] : 1); column += TILE)
            if (!tile_equal(a, b, row, column))
                return false;
    return true;
}
