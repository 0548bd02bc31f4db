/* Scores of one kind side by side: those of all layers under one name. */
#ifndef PASSES_SCORE_FAMILIES_H
#define PASSES_SCORE_FAMILIES_H

#include "passes/scores.h"

/* Scores of one kind: NAME, or those of all layers, layers.*.ROLE. */
struct score_family {
    const char *name; /* "hidden", "layers.*.ffn", with what follows an @ */
    const struct score **members;
    uint32_t count;
    double least, largest; /* of all values */
};

/* In the order in which they come first; all on `arena`, members borrowed. */
struct score_family *score_families(uint32_t *count, struct arena *arena, const struct scores *scores);

#endif
