/* How much two rankings agree. */
#ifndef SEARCH_KENDALL_H
#define SEARCH_KENDALL_H

#include <stdint.h>

/* Kendall's tau-b of x[count] and y[count]: (C - D) / sqrt((C + D + Tx)(C + D + Ty)), where C pairs are in
 * the same order in both, D in opposite order, Tx tie in x alone, Ty in y alone (Kendall 1945, Biometrika
 * 33). NaN when there is no pair, or one of them ties throughout. */
double kendall_tau(const double *x, const double *y, uint32_t count);

#endif
