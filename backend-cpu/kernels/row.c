/* Scalar functions along a row, on full vectors. What r_exp() and r_sigmoid() give is flushed already. */
#include "backend-cpu/kernels/row.h"

#ifndef ROW_WIDE
void row_exponentials(real *e, const real *x, real m, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        e[i] = r_exp(x[i] - m);
}

real row_exponentials_sum(real *e, const real *x, real m, int64_t n)
{
    row_exponentials(e, x, m, n);
    return row_sum(e, n);
}

void row_pull_back(real *p, real *t, const real *m, const real *z, const real *delta, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        p[i] = r_exp(p[i] - m[i]);
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++) {
        p[i] = r_flush(p[i] * z[i]);
        t[i] = r_flush(p[i] * r_flush(t[i] - delta[i]));
    }
}

void row_sigmoids(real *y, const real *x, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        y[i] = r_sigmoid(x[i]);
}
#endif

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
        y[i] = r_flush(r_sqrt_normal(x[i]));
}

void row_reciprocals(real *y, const real *x, int64_t n)
{
    ELEMENTWISE
    for (int64_t i = 0; i < n; i++)
        y[i] = r_flush(r_rcp_normal(x[i]));
}
