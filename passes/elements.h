/* Which element of a score each position of a weight's axis belongs to. */
#ifndef PASSES_ELEMENTS_H
#define PASSES_ELEMENTS_H

#include "ir/graph.h"

/* Elements of a score: a leaf (minor), or query heads r (minor) within groups g (major). */
struct elements {
    uint32_t major, minor; /* leaves, DIM_NONE: none */
    int64_t minor_size;
};

/* -1 where position i of the axis belongs to none (a part of a sum that does not mention the leaves). */
int64_t elements_at(const struct dims *dims, uint32_t axis, int64_t i, const struct elements *elements);

#endif
