/* Comparing weights byte by byte, panel by panel. */
#include "frontend/lower.h"
#include <string.h>

enum { PANEL_ELEMENTS = 4096 };

bool weights_equal(const struct tensor_view *a, const struct tensor_view *b)
{
    uint8_t x[PANEL_ELEMENTS * 4], y[PANEL_ELEMENTS * 4];
    if (a->dtype != b->dtype || a->rank != b->rank ||
        memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) != 0)
        return false;
    int64_t count = tensor_view_count(a);
    for (int64_t at = 0; at < count; at += PANEL_ELEMENTS) {
        int64_t length = count - at < PANEL_ELEMENTS ? count - at : PANEL_ELEMENTS;
        tensor_view_read_raw(a, at, length, x);
        tensor_view_read_raw(b, at, length, y);
        if (memcmp(x, y, (size_t)length * dtype_size(a->dtype)) != 0)
            return false;
    }
    return true;
}
