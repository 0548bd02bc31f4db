/* Where the leaves of a graph are mentioned, found in one sweep, so that what is asked of every leaf takes no
 * sweep each. */
#ifndef PASSES_LEAF_INDEX_H
#define PASSES_LEAF_INDEX_H

#include "ir/graph.h"

struct leaf_index {
    const uint32_t *starts; /* by term id, and one more */
    const uint32_t *items;
};

/* The values that have an axis that mentions the leaf; the nodes that read such a value. Both ascending, each
 * once, on `arena`. */
struct leaf_index leaf_index_values(struct arena *arena, const struct graph *graph);
struct leaf_index leaf_index_nodes(struct arena *arena, const struct graph *graph);

/* How many there are, and the first, of a leaf that dims_find() gave. */
uint32_t leaf_index_get(const struct leaf_index *index, uint32_t leaf, const uint32_t **items);

#endif
