/* Rotary embedding by stored tables, for the operators that have it inside. */
#ifndef FRONTEND_RULES_ROTARY_H
#define FRONTEND_RULES_ROTARY_H

#include "frontend/importer.h"

struct rotary_caches {
    uint32_t cosines, sines; /* inputs, [positions, half] */
    const struct array
        *ids[PROBES]; /* positions [batch, sequence]; NULL: the tables are [batch, sequence, half] */
    bool turns_neighbours;
};

/* Rotates x [batch, heads, sequence, channels]; output 0 has the same axes. */
enum status rotary_apply(struct rule *rule, const struct import_value *x,
                         const struct rotary_caches *caches) MUST_CHECK;
/* 0, 1, 2, ... as [1, sequence]. */
enum status rotary_positions(struct rule *rule, const struct array *ids[PROBES]) MUST_CHECK;

#endif
