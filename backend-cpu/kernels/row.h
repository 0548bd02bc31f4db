/* Reductions of a row: R_i of ir/ops.def. Element i goes to lane i mod 64, each lane adds ascending from +0,
 * then the upper half of the lanes is added to the lower until one is left. Missing elements of the last 64
 * count as +0, which changes no lane. */
#ifndef BACKEND_CPU_KERNELS_ROW_H
#define BACKEND_CPU_KERNELS_ROW_H

#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/vector.h"

/* Where the functions in row_wide.c take the place of those in row.c. */
#if defined __AVX512VL__ && !defined ESPALIER_DOUBLE
#define ROW_WIDE
#endif

enum { ROW_LANES = 64, ROW_VECTORS = ROW_LANES / LANES };

static inline real row_halve(vec lanes[ROW_VECTORS])
{
    for (int n = ROW_VECTORS / 2; n > 0; n /= 2)
        for (int v = 0; v < n; v++)
            lanes[v] = lanes[v] + lanes[v + n];
    real lane[LANES];
    vec_store(lane, lanes[0]);
    for (int h = LANES / 2; h > 0; h /= 2)
        for (int l = 0; l < h; l++)
            lane[l] = lane[l] + lane[l + h];
    return lane[0];
}

/* R_i x[i]. x [n] */
static inline real row_sum(const real *x, int64_t n)
{
    vec lanes[ROW_VECTORS] = {0};
    int64_t i = 0;
    for (; i + ROW_LANES <= n; i += ROW_LANES)
        for (int v = 0; v < ROW_VECTORS; v++)
            lanes[v] = lanes[v] + vec_load(x + i + v * LANES);
    if (i < n) {
        real rest[ROW_LANES] = {0};
        memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
        for (int v = 0; v < ROW_VECTORS; v++)
            lanes[v] = lanes[v] + vec_load(rest + v * LANES);
    }
    return row_halve(lanes);
}

/* R_i a[i] * b[i]. a [n], b [n] */
static inline real row_dot(const real *a, const real *b, int64_t n)
{
    vec lanes[ROW_VECTORS] = {0};
    int64_t i = 0;
    for (; i + ROW_LANES <= n; i += ROW_LANES)
        for (int v = 0; v < ROW_VECTORS; v++)
            lanes[v] = lanes[v] + vec_load(a + i + v * LANES) * vec_load(b + i + v * LANES);
    if (i < n) {
        real rest_a[ROW_LANES] = {0}, rest_b[ROW_LANES] = {0};
        memcpy(rest_a, a + i, (size_t)(n - i) * sizeof *a);
        memcpy(rest_b, b + i, (size_t)(n - i) * sizeof *b);
        for (int v = 0; v < ROW_VECTORS; v++)
            lanes[v] = lanes[v] + vec_load(rest_a + v * LANES) * vec_load(rest_b + v * LANES);
    }
    return row_halve(lanes);
}

/* max_i x[i]; n >= 1. The order does not matter: there is one zero. */
static inline real row_max(const real *x, int64_t n)
{
    real max = x[0];
    int64_t i = 0;
    if (n >= LANES) {
        vec a = vec_load(x), b = vec_load(x + n - LANES); /* what is left at the end, or all over again */
        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            a = vec_max(a, vec_load(x + i));
            b = vec_max(b, vec_load(x + i + LANES));
        }
        if (i + LANES <= n)
            a = vec_max(a, vec_load(x + i));
        real lane[LANES];
        vec_store(lane, vec_max(a, b));
        for (int h = LANES / 2; h > 0; h /= 2)
            for (int l = 0; l < h; l++)
                lane[l] = r_max(lane[l], lane[l + h]);
        return lane[0];
    }
    for (; i < n; i++)
        max = r_max(max, x[i]);
    return max;
}

/* e[i] = F(exp(x[i] - m)) for x[i] <= m (else it means nothing); e [n] may be x. The second form returns R_i
 * e[i]. A NaN has any pattern. */
#define row_exponentials KERNEL(row_exponentials)
#define row_exponentials_sum KERNEL(row_exponentials_sum)
void row_exponentials(real *e, const real *x, real m, int64_t n);
real row_exponentials_sum(real *e, const real *x, real m, int64_t n);

/* p[i] = F(F(exp(p[i] - m[i])) * z[i]), then t[i] = F(p[i] * F(t[i] - delta[i])), for p[i] <= m[i]. */
#define row_pull_back KERNEL(row_pull_back)
void row_pull_back(real *p, real *t, const real *m, const real *z, const real *delta, int64_t n);

/* y[i] = sigmoid(x[i]) (a NaN has any pattern), tanh, erf, F(sqrt(x[i])) for x[i] >= 0, F(rcp(x[i])) where it
 * is at least 2^-126 or x[i] is not finite; y [n] may be x. */
#define row_sigmoids KERNEL(row_sigmoids)
#define row_tanhs KERNEL(row_tanhs)
#define row_erfs KERNEL(row_erfs)
#define row_roots KERNEL(row_roots)
#define row_reciprocals KERNEL(row_reciprocals)
void row_sigmoids(real *y, const real *x, int64_t n);
void row_tanhs(real *y, const real *x, int64_t n);
void row_erfs(real *y, const real *x, int64_t n);
void row_roots(real *y, const real *x, int64_t n);
void row_reciprocals(real *y, const real *x, int64_t n);

enum { ROW_CHUNK = 512 }; /* elements that an element-wise kernel takes through these functions at a time */

#endif
