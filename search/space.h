/* The shapes that a search looks at: a grid, and limits on what a shape costs. Enumerating takes no weights
 * and no device; 20 000 combinations take milliseconds. */
#ifndef SEARCH_SPACE_H
#define SEARCH_SPACE_H

#include "search/bill.h"

enum { SPACE_MAX_COMBINATIONS = 1000000 };

/* Both ends belong to it. */
struct limit {
    bool is_set;
    int64_t low, high;
};

/* Seconds a token, measured on a device (search/latency.h). */
struct latency_limit {
    bool is_set;
    double low, high;
    const char *key; /* the setting that messages point at */
};

struct space {
    VEC(int64_t) values[SIZE_COUNT]; /* ascending; of FFN empty when expansions are given */
    VEC(double) expansions;          /* ascending */
    int64_t unit;                    /* to whose multiples expansions are rounded; 1: they must be whole */
    bool is_varied[SIZE_COUNT];      /* the file gives a grid for it */
    struct limit limits[COST_COUNT];
    struct latency_limit latency;
    struct circumstances circumstances;
    struct bill bill;
};

struct candidate {
    const char *label; /* "l29-d3072-h24-f9216", of the sizes that the file varies */
    struct sizes sizes;
    struct cost cost;
    double latency; /* NaN: not measured */
};

/* From the fewest parameters to the most; of equal ones, by layers, heads, key-value heads, ffn, hidden. */
struct candidates {
    VEC(struct candidate) items;
    uint64_t combinations;   /* all of the grid */
    uint64_t impossible;     /* heads no multiple of kv_heads, or wider than the base */
    struct cost least, most; /* of those that are possible; meaningless when none is */
};

/* Of settings of kind "search"; the bill is the caller's, and moved in. INVALID: values beyond the base or
 * twice in a list, ffn and expansion both, a limit that nothing can meet, more than SPACE_MAX_COMBINATIONS.
 */
enum status space_read(struct space *out, struct arena *arena, const struct bill *bill,
                       const struct settings *settings, struct trace *trace) MUST_CHECK;
/* INVALID when there is none: what was asked for and what there is. */
enum status space_enumerate(struct candidates *out, struct arena *arena, const struct space *space,
                            const struct settings *settings, struct trace *trace) MUST_CHECK;

#endif
