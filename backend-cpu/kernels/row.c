/* Exponentials of a row, on full vectors. What r_exp() gives is flushed already. */
#include "backend-cpu/kernels/row.h"

void row_exponentials(real *e, const real *x, real m, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        e[i] = r_exp(x[i] - m);
}

void row_exponentials_each(real *e, const real *x, const real *m, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        e[i] = r_exp(x[i] - m[i]);
}
