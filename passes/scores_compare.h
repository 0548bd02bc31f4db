/* How much two scores of the same elements agree. */
#ifndef PASSES_SCORES_COMPARE_H
#define PASSES_SCORES_COMPARE_H

#include "passes/scores.h"

struct scores_agreement {
    double correlation;  /* Spearman's: Pearson's of ranks, equal values sharing the mean of theirs; 0 where
                            one is constant */
    uint32_t kept, both; /* how many each keeps at the cut, and how many both do */
};

/* The cut keeps the best `share` of the elements, at least one. Counts are equal and not 0; values are no
 * NaN. */
void scores_compare(struct scores_agreement *out, const struct score *a, const struct score *b, double share);

#endif
