/* Scalar functions along a row, on full vectors. What r_exp() and r_sigmoid() give is flushed already. */
#include "backend-cpu/kernels/row.h"

#if defined __AVX512VL__ && !defined ESPALIER_DOUBLE
/* gm_exp() of arguments that are at most 0, or NaN, which gives a NaN of any pattern: the same operations
 * with what other arguments need left out. Bounds are one comparison: gm_exp() is 0 from LAST_ZERO down. */
#define LAST_ZERO gm_float(0xc20d66ecu) /* -35.3505096 */

static inline __attribute__((always_inline)) __m512 constant(uint bit_pattern)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)bit_pattern));
}

static inline __attribute__((always_inline)) __m512 step(__m512 p, __m512 r, uint coefficient)
{
    return p * r + constant(coefficient);
}

static inline __attribute__((always_inline)) __m512 exponential(__m512 x)
{
    __m512 t = x * constant(0x3fb8aa3bu) + constant(GM_ROUND); /* constants as in shaders/scalar/explog.h */
    __m512 k = t - constant(GM_ROUND);
    __m512 r = (x - k * constant(0x3f318000u)) - k * constant(0xb95e8083u);
    __m512 p = step(constant(0x39506967u), r, 0x3ab743ceu);
    p = step(p, r, 0x3c088908u);
    p = step(p, r, 0x3d2aa9c1u);
    p = step(p, r, 0x3e2aaaaau);
    p = step(p, r, 0x3f000000u);
    p = (p * (r * r) + r) + constant(GM_ONE);
    __m512i u = _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23));
    __mmask16 kept = _mm512_cmp_ps_mask(x, _mm512_set1_ps(LAST_ZERO), _CMP_NLE_UQ);
    /* The fix-up table has an entry a class of x, from the lowest bits on: NaNs give x (2), others u (0). */
    return _mm512_maskz_fixupimm_ps(kept, _mm512_castsi512_ps(u), x, _mm512_set1_epi32(0x22), 0);
}

enum { WIDE = 16 };

/* The elements from `i` on of a row of n, in lanes that exist. */
static inline __mmask16 lanes_left(int64_t i, int64_t n)
{
    return n - i >= WIDE ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
}

void row_exponentials(real *e, const real *x, real m, int64_t n)
{
    for (int64_t i = 0; i < n; i += WIDE) {
        __mmask16 lanes = lanes_left(i, n);
        __m512 y = exponential(_mm512_maskz_loadu_ps(lanes, x + i) - _mm512_set1_ps(m));
        _mm512_mask_storeu_ps(e + i, lanes, y);
    }
}

void row_exponentials_each(real *e, const real *x, const real *m, int64_t n)
{
    for (int64_t i = 0; i < n; i += WIDE) {
        __mmask16 lanes = lanes_left(i, n);
        __m512 y = exponential(_mm512_maskz_loadu_ps(lanes, x + i) - _mm512_maskz_loadu_ps(lanes, m + i));
        _mm512_mask_storeu_ps(e + i, lanes, y);
    }
}

/* The lanes' sums of a row, upper halves to lower ones. */
static inline real halve(const __m512 lanes[ROW_LANES / WIDE])
{
    __m512 s = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    __m256 s8 = _mm512_castps512_ps256(s) + _mm512_extractf32x8_ps(s, 1);
    __m128 s4 = _mm256_castps256_ps128(s8) + _mm256_extractf128_ps(s8, 1);
    __m128 s2 = s4 + _mm_movehl_ps(s4, s4);
    return s2[0] + s2[1];
}

real row_exponentials_sum(real *e, const real *x, real m, int64_t n)
{
    __m512 sum[ROW_LANES / WIDE] = {0}, max = _mm512_set1_ps(m);
    int64_t i = 0;
    for (; i + ROW_LANES <= n; i += ROW_LANES)
#pragma GCC unroll 4
        for (int v = 0; v < ROW_LANES / WIDE; v++) {
            __m512 y = exponential(_mm512_loadu_ps(x + i + v * WIDE) - max);
            _mm512_storeu_ps(e + i + v * WIDE, y);
            sum[v] = sum[v] + y;
        }
    for (int v = 0; i + v * WIDE < n; v++) {
        __mmask16 lanes = lanes_left(i + v * WIDE, n);
        __m512 y = exponential(_mm512_maskz_loadu_ps(lanes, x + i + v * WIDE) - max);
        _mm512_mask_storeu_ps(e + i + v * WIDE, lanes, y);
        sum[v] = sum[v] + _mm512_maskz_mov_ps(lanes, y);
    }
    return halve(sum);
}
#else
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

real row_exponentials_sum(real *e, const real *x, real m, int64_t n)
{
    row_exponentials(e, x, m, n);
    return row_sum(e, n);
}
#endif

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
