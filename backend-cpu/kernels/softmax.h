/* The softmax of a row, as the losses need it. */
#ifndef BACKEND_CPU_KERNELS_SOFTMAX_H
#define BACKEND_CPU_KERNELS_SOFTMAX_H

#include "backend-cpu/kernels/row.h"

struct softmax {
    real max, sum, share; /* m, S = R_c exp(x - m), F(rcp(S)) */
};

/* Leaves F(exp(x - m)) in e [n]. */
static inline struct softmax softmax_exponentials(real *e, const real *x, int64_t n)
{
    struct softmax s = {.max = row_max(x, n)};
    s.sum = row_exponentials_sum(e, x, s.max, n);
    s.share = r_flush(r_rcp_normal(s.sum)); /* the sum is at least 1 */
    return s;
}

/* The logarithm of the row's sum of exponentials. */
static inline real softmax_log_sum(struct softmax s)
{
    return r_log(s.sum) + s.max;
}

#endif
