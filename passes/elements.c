/* Walking a term from a position of an axis down to a leaf. */
#include "passes/elements.h"

/* The position of `leaf` at position i of an axis, or -1 where the axis is of something else there. */
static int64_t leaf_position(const struct dims *dims, uint32_t term, int64_t i, uint32_t leaf)
{
    term = dims_find(dims, term);
    if (term == leaf)
        return i;
    uint32_t terms[DIM_MAX_FACTORS], count = dims_parts(dims, term, terms);
    for (uint32_t p = 0; p < count && count > 1; p++) {
        int64_t size = dims_size(dims, terms[p]);
        if (i < size)
            return leaf_position(dims, terms[p], i, leaf);
        i -= size;
    }
    if (count > 1 || dims_is_leaf(dims, term))
        return -1;
    count = dims_factors(dims, term, terms);
    for (uint32_t f = count; f-- > 0 && count > 1;) { /* minor to major */
        int64_t size = dims_size(dims, terms[f]), found = leaf_position(dims, terms[f], i % size, leaf);
        if (found >= 0)
            return found;
        i /= size;
    }
    return -1;
}

int64_t elements_at(const struct dims *dims, uint32_t axis, int64_t i, const struct elements *e)
{
    int64_t major = e->major == DIM_NONE ? 0 : leaf_position(dims, axis, i, e->major);
    int64_t minor = e->minor == DIM_NONE ? 0 : leaf_position(dims, axis, i, e->minor);
    return major < 0 || minor < 0 ? -1 : major * e->minor_size + minor;
}
