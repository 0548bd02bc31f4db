/* Functions along a row for vectors of 512 bits, step by step on four vectors abreast: a processor that met
 * the steps of one vector after the other would wait for each. */
#include "backend-cpu/kernels/row.h"

#ifdef ROW_WIDE
/* gm_exp() of arguments that are at most 0, or NaN, which gives a NaN of any pattern: the same operations
 * with what other arguments need left out. Bounds are one comparison: gm_exp() is 0 from LAST_ZERO down. */
#define LAST_ZERO gm_float(0xc20d66ecu) /* -35.3505096 */

static inline __attribute__((always_inline)) __m512 constant(uint bit_pattern)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)bit_pattern));
}

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

/* r_flush() of each lane; as vec_flush(). */
static inline __attribute__((always_inline)) __m512 flush(__m512 x)
{
    __m512i size = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32((int32_t)GM_ABS));
    __mmask16 kept = _mm512_cmpge_epu32_mask(size, _mm512_set1_epi32((int32_t)GM_TINY));
    return _mm512_maskz_fixupimm_ps(kept, constant(GM_NAN), x, _mm512_set1_epi32(0x11111100), 0);
}

/* What is done to a row: some of these are used. */
struct row {
    real *out;
    const real *x, *m, *z, *delta;
    real *t;
    real max;
};

/* Elements from `i` on, `count` vectors of which the last has the lanes `last`; sums go to sum [count]. */
typedef void part_function(const struct row *row, int64_t i, int count, __mmask16 last, __m512 sum[ABREAST]);

#define PART static inline __attribute__((always_inline)) void
#define LANES_OF(v) ((v) == count - 1 ? last : (__mmask16)0xffff)
#define LOAD(from) _mm512_maskz_loadu_ps(LANES_OF(v), (from) + i + v * WIDE)
#define STORE(to, value) _mm512_mask_storeu_ps((to) + i + v * WIDE, LANES_OF(v), value)

PART exponentials_part(const struct row *row, int64_t i, int count, __mmask16 last, __m512 sum[ABREAST])
{
    __m512 y[ABREAST];
    EACH y[v] = LOAD(row->x) - _mm512_set1_ps(row->max);
    exponentials(y, y, count);
    EACH STORE(row->out, y[v]);
    EACH sum[v] = sum[v] + _mm512_maskz_mov_ps(LANES_OF(v), y[v]);
}

PART pull_back_part(const struct row *row, int64_t i, int count, __mmask16 last, __m512 sum[ABREAST])
{
    (void)sum;
    __m512 p[ABREAST];
    EACH p[v] = LOAD(row->x) - LOAD(row->m);
    exponentials(p, p, count);
    EACH p[v] = flush(p[v] * LOAD(row->z));
    EACH STORE(row->out, p[v]);
    EACH STORE(row->t, flush(p[v] * flush(LOAD(row->t) - LOAD(row->delta))));
}

/* gm_sigmoid() */
PART sigmoids_part(const struct row *row, int64_t i, int count, __mmask16 last, __m512 sum[ABREAST])
{
    (void)sum;
    __m512 x[ABREAST], e[ABREAST];
    EACH x[v] = LOAD(row->x);
    EACH e[v] = _mm512_or_ps(x[v], constant(GM_SIGN));
    exponentials(e, e, count);
    EACH
    {
        __m512 over =
            _mm512_mask_mov_ps(constant(GM_ONE), _mm512_movepi32_mask(_mm512_castps_si512(x[v])), e[v]);
        STORE(row->out, over / (constant(GM_ONE) + e[v]));
    }
}

static inline __attribute__((always_inline)) void each_part(const struct row *row, int64_t n,
                                                            part_function *part, __m512 sum[ABREAST])
{
    int64_t i = 0;
    for (; i + ROW_LANES <= n; i += ROW_LANES)
        part(row, i, ABREAST, 0xffff, sum);
    if (i == n)
        return;
    __mmask16 last = (__mmask16)(0xffff >> (WIDE - 1 - (n - i - 1) % WIDE));
    switch ((n - i + WIDE - 1) / WIDE) {
    case 1:
        part(row, i, 1, last, sum);
        break;
    case 2:
        part(row, i, 2, last, sum);
        break;
    case 3:
        part(row, i, 3, last, sum);
        break;
    default:
        part(row, i, 4, last, sum);
    }
}

void row_exponentials(real *e, const real *x, real m, int64_t n)
{
    __m512 sum[ABREAST] = {0};
    struct row row = {.out = e, .x = x, .max = m};
    each_part(&row, n, exponentials_part, sum);
}

real row_exponentials_sum(real *e, const real *x, real m, int64_t n)
{
    __m512 sum[ABREAST] = {0};
    struct row row = {.out = e, .x = x, .max = m};
    each_part(&row, n, exponentials_part, sum);
    /* Upper halves of the lanes to lower ones. */
    __m512 s = (sum[0] + sum[2]) + (sum[1] + sum[3]);
    __m256 s8 = _mm512_castps512_ps256(s) + _mm512_extractf32x8_ps(s, 1);
    __m128 s4 = _mm256_castps256_ps128(s8) + _mm256_extractf128_ps(s8, 1);
    __m128 s2 = s4 + _mm_movehl_ps(s4, s4);
    return s2[0] + s2[1];
}

void row_pull_back(real *p, real *t, const real *m, const real *z, const real *delta, int64_t n)
{
    __m512 sum[ABREAST] = {0};
    struct row row = {.out = p, .x = p, .m = m, .z = z, .delta = delta, .t = t};
    each_part(&row, n, pull_back_part, sum);
}

void row_sigmoids(real *y, const real *x, int64_t n)
{
    __m512 sum[ABREAST] = {0};
    struct row row = {.out = y, .x = x};
    each_part(&row, n, sigmoids_part, sum);
}
#endif
