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

/* Four vectors step by step: a processor that looked at one after the other would wait for each operation. */
enum { WIDE = 16, ABREAST = ROW_LANES / WIDE };

#define EACH _Pragma("GCC unroll 4") for (int v = 0; v < count; v++)

/* x [count], count a constant wherever this is inlined; constants as in shaders/scalar/explog.h */
static inline __attribute__((always_inline)) void exponentials(__m512 y[ABREAST], const __m512 x[ABREAST],
                                                               int count)
{
    static const uint coefficients[] = {0x3ab743ceu, 0x3c088908u, 0x3d2aa9c1u, 0x3e2aaaaau, 0x3f000000u};
    __m512 t[ABREAST], k[ABREAST], r[ABREAST], p[ABREAST];
    EACH t[v] = x[v] * constant(0x3fb8aa3bu);
    EACH t[v] = t[v] + constant(GM_ROUND);
    EACH k[v] = t[v] - constant(GM_ROUND);
    EACH r[v] = x[v] - k[v] * constant(0x3f318000u);
    EACH r[v] = r[v] - k[v] * constant(0xb95e8083u);
    EACH p[v] = constant(0x39506967u);
#pragma GCC unroll 5
    for (int c = 0; c < 5; c++) {
        EACH p[v] = p[v] * r[v];
        EACH p[v] = p[v] + constant(coefficients[c]);
    }
    EACH p[v] = p[v] * (r[v] * r[v]);
    EACH p[v] = p[v] + r[v];
    EACH p[v] = p[v] + constant(GM_ONE);
    EACH
    {
        __m512i u =
            _mm512_add_epi32(_mm512_castps_si512(p[v]), _mm512_slli_epi32(_mm512_castps_si512(t[v]), 23));
        __mmask16 kept = _mm512_cmp_ps_mask(x[v], _mm512_set1_ps(LAST_ZERO), _CMP_NLE_UQ);
        /* The fix-up table has an entry a class of x, from the lowest bits on: NaNs give x (2), others u (0).
         */
        y[v] = _mm512_maskz_fixupimm_ps(kept, _mm512_castsi512_ps(u), x[v], _mm512_set1_epi32(0x22), 0);
    }
}

/* A row's argument of row_exponentials: m is one, or m_step is 1. */
struct exponents {
    real *e;
    const real *x, *m;
    int64_t m_step;
};

/* Elements from `i` on, `count` vectors of which the last one has the lanes `last`; their sums in sum
 * [count].
 */
static inline __attribute__((always_inline)) void take(struct exponents a, int64_t i, int count,
                                                       __mmask16 last, __m512 sum[ABREAST])
{
    __m512 y[ABREAST];
    EACH
    {
        __mmask16 lanes = v == count - 1 ? last : 0xffff;
        __m512 m = a.m_step ? _mm512_maskz_loadu_ps(lanes, a.m + i + v * WIDE) : _mm512_set1_ps(*a.m);
        y[v] = _mm512_maskz_loadu_ps(lanes, a.x + i + v * WIDE) - m;
    }
    exponentials(y, y, count);
    EACH
    {
        __mmask16 lanes = v == count - 1 ? last : 0xffff;
        _mm512_mask_storeu_ps(a.e + i + v * WIDE, lanes, y[v]);
        sum[v] = sum[v] + _mm512_maskz_mov_ps(lanes, y[v]);
    }
}

static inline __attribute__((always_inline)) void take_all(struct exponents a, int64_t n, __m512 sum[ABREAST])
{
    int64_t i = 0;
    for (; i + ROW_LANES <= n; i += ROW_LANES)
        take(a, i, ABREAST, 0xffff, sum);
    __mmask16 last = (__mmask16)(0xffff >> (WIDE - 1 - (n - i - 1) % WIDE));
    switch ((n - i + WIDE - 1) / WIDE) {
    case 1:
        take(a, i, 1, last, sum);
        break;
    case 2:
        take(a, i, 2, last, sum);
        break;
    case 3:
        take(a, i, 3, last, sum);
        break;
    case 4:
        take(a, i, 4, last, sum);
        break;
    default:
        break;
    }
}

void row_exponentials(real *e, const real *x, real m, int64_t n)
{
    __m512 sum[ABREAST] = {0};
    take_all((struct exponents){e, x, &m, 0}, n, sum);
}

void row_exponentials_each(real *e, const real *x, const real *m, int64_t n)
{
    __m512 sum[ABREAST] = {0};
    take_all((struct exponents){e, x, m, 1}, n, sum);
}

real row_exponentials_sum(real *e, const real *x, real m, int64_t n)
{
    __m512 sum[ABREAST] = {0};
    take_all((struct exponents){e, x, &m, 0}, n, sum);
    /* Upper halves of the lanes to lower ones. */
    __m512 s = (sum[0] + sum[2]) + (sum[1] + sum[3]);
    __m256 s8 = _mm512_castps512_ps256(s) + _mm512_extractf32x8_ps(s, 1);
    __m128 s4 = _mm256_castps256_ps128(s8) + _mm256_extractf128_ps(s8, 1);
    __m128 s2 = s4 + _mm_movehl_ps(s4, s4);
    return s2[0] + s2[1];
}
#undef EACH
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
