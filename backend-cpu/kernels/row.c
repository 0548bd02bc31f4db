/* Scalar functions along a row, on full vectors. What r_exp() and r_sigmoid() give is flushed already. */
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

void row_sigmoids(real *y, const real *x, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        y[i] = r_sigmoid(x[i]);
}

void row_tanhs(real *y, const real *x, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        y[i] = r_flush(r_tanh(x[i]));
}

void row_erfs(real *y, const real *x, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        y[i] = r_flush(r_erf(x[i]));
}

void row_roots(real *y, const real *x, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        y[i] = r_flush(r_sqrt(x[i]));
}

void row_reciprocals(real *y, const real *x, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        y[i] = r_flush(r_rcp(x[i]));
}
