/* Importance per element, by class name: "hidden" [D], "layers.N.ffn" [F], "layers.N.heads" [g*r] (group
 * major), "layers" [layers] (importance of a whole layer), or any other class of passes/classes.h. Larger is
 * more important. Layers are numbered as in the graph that was scored. */
#ifndef PASSES_SCORES_H
#define PASSES_SCORES_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "base/vec.h"

struct score {
    struct str name;
    const float *values;
    uint32_t count;
};

struct scores {
    VEC(struct score) items;
};

/* Name and values are copied into the arena. */
void scores_add(struct scores *scores, struct arena *arena, const char *name, const float *values,
                uint32_t count);
/* NULL when absent; scores may be NULL. */
const struct score *scores_get(const struct scores *scores, const char *name);
/* INVALID unless there is a score `name` of `count` numbers, none of them NaN. */
enum status scores_need(const struct score **out, const struct scores *scores, const char *name,
                        uint32_t count, struct trace *trace) MUST_CHECK;

/* The `keep` positions with the highest values, ascending; of equal ones the lower index wins. keep <= count.
 */
void scores_rank(const float *values, uint32_t count, uint32_t keep, uint32_t *out);

#endif
