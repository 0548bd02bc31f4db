/* The one primitive of width surgery: a graph whose leaves keep only some of their positions.
 *
 * A keep list names positions of a leaf, in the order in which the new leaf has them. Each axis of each
 * weight whose term mentions such a leaf is gathered by the index vector of that term (a product is the
 * cartesian product of its factors, major first; a sum is a concatenation); a weight becomes another view of
 * the same bytes. Nodes are built again by their rules, so attributes that restate a size follow.
 *
 * A leaf may have one list per index of a parent leaf, all of one length, when every axis of the graph that
 * mentions the leaf has the parent as a factor further out in the same product. (Query heads within groups.)
 */
#ifndef PASSES_REINDEX_H
#define PASSES_REINDEX_H

#include "passes/leaf_index.h"

struct keep {
    uint32_t leaf;
    uint32_t count;        /* positions kept, of each list */
    uint32_t parent;       /* DIM_NONE: one list */
    const uint32_t *lists; /* [count], or [size of parent][count]; distinct positions of the leaf */
};

/* A new graph, to be destroyed by the caller. INVALID: a list is empty, repeats or exceeds positions, or no
 * leaf is named; lists per parent where they are not allowed. UNSUPPORTED: the leaf is frozen, with its
 * reason. */
enum status reindex(struct graph **out, const struct graph *graph, const struct keep *keeps, uint32_t count,
                    struct trace *trace) MUST_CHECK;

/* The positions of the axis `term` of `graph` that are kept, in their new order, on `arena`. The keeps are
 * valid. */
void reindex_positions(const uint32_t **positions, uint32_t *kept, struct arena *arena,
                       const struct graph *graph, const struct keep *keeps, uint32_t count, uint32_t term);

/* Whether lists per index of `parent` are allowed for `leaf`; `values` is the graph's leaf_index_values(). */
bool reindex_allows_parent(const struct graph *graph, const struct leaf_index *values, uint32_t leaf,
                           uint32_t parent);

#endif
