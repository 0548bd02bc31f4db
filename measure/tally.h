/* What is kept of a statistic over many sequences: three running sums per element, whatever the number of
 * sequences. Minitron (arXiv 2407.14679) aggregates first over positions, on the device, then
 * over sequences, here:
 *
 *   mean      (1/n) sum |S_i|
 *   l2        sqrt(sum S_i^2)
 *   variance  (1/n) sum (S_i - mean S)^2
 *
 * Sums run over sequences in order: those of a micro-batch in f32 as ir/ops.def's P (l2 only), everything
 * else in double, so no result depends on device or threads. */
#ifndef MEASURE_TALLY_H
#define MEASURE_TALLY_H

#include "base/arena.h"
#include <stdint.h>

enum statistic { STATISTIC_MEAN, STATISTIC_L2, STATISTIC_VARIANCE, STATISTIC_COUNT };
const char *statistic_name(enum statistic statistic); /* "mean", "l2", "variance" */

struct tally {
    uint32_t count;     /* elements */
    uint64_t sequences; /* so far */
    double *sum;        /* [count] of values with their signs */
    double *magnitude;  /* [count] of absolute values */
    double *squares;    /* [count] */
    double *mean, *m2;  /* [count] running mean and sum of squared deviations (Welford 1962) */
};

void tally_init(struct tally *out, struct arena *arena, uint32_t count);
/* values [rows, count]: one row a sequence. */
void tally_add(struct tally *tally, const float *values, uint32_t rows);
/* The aggregate of one element over all sequences; at least one was added. */
float tally_get(const struct tally *tally, uint32_t element, enum statistic statistic);

#endif
