/* Division and square root, correctly rounded: a float approximation of the significand's quotient or root,
 * then its remainder in integers modulo 2^32, which is exact because the remainder is small. Exponents are
 * added as integers, so no intermediate is subnormal or infinite whatever the arguments. */
#ifndef SHADERS_SCALAR_ROOT_H
#define SHADERS_SCALAR_ROOT_H

#include "shaders/scalar/bits.h"

/* About 1/f for 1 <= f < 2, to 2^-22: the quadratic whose 1 - f y is a Chebyshev polynomial (at most 1/99),
 * and two Newton steps. */
GM_FN float gm_reciprocal_significand(float f)
{
    float y = gm_float(0x3ea57eb5u) * f - gm_float(0x3fba2e8cu); /* 32/99, 144/99 */
    y = y * f + gm_float(0x4007c1f0u);                           /* 210/99 */
    y = y + y * (gm_float(GM_ONE) - f * y);
    return y + y * (gm_float(GM_ONE) - f * y);
}

/* a / b, correctly rounded (0.5 ULP); below 2^-126 it is +0. Subnormal arguments count as 0; x / 0 is inf
 * with the sign of x, 0 / 0 and inf / inf are NaN. */
GM_FN float gm_div(float a, float b)
{
    uint ua = gm_bits(a), ub = gm_bits(b);
    uint ea = (ua >> 23) & 0xffu, eb = (ub >> 23) & 0xffu;
    uint ma = (ua & GM_FRACTION) | GM_NORMAL, mb = (ub & GM_FRACTION) | GM_NORMAL;
    uint shift = ma < mb ? 1u : 0u; /* 1 <= ma * 2^shift / mb < 2 */
    float y = gm_reciprocal_significand(gm_float((ub & GM_FRACTION) | GM_ONE));
    float t = gm_float(((ua & GM_FRACTION) | GM_ONE) + (shift << 23)) * y;

    /* q: the quotient times 2^24, at most 16 too small; r: its remainder, less than 2^28. */
    ma = ma << shift;
    uint q = ((gm_bits(t) - 0x3f000000u) << 1) - 8u;
    uint r = (ma << 24) - q * mb;
    float d = (gm_float(GM_UNIT | (r >> 5)) - gm_float(GM_UNIT)) * (y * gm_float(0x36800000u)); /* 2^-18 */
    uint n = gm_bits(d + gm_float(GM_UNIT)) & GM_FRACTION;
    q = q + n;
    r = r - n * mb;
    q = q - (r >> 31); /* now the floor; no quotient is half-way between two floats: q's last bit rounds */

    uint e = ea + 383u - eb - shift; /* the quotient's exponent + 256 */
    uint sign = (ua ^ ub) & GM_SIGN;
    uint u = sign | (((e - 256u) << 23) + ((q + 1u) >> 1) - GM_NORMAL);

    /* Both only for 0 / 0 and inf / inf. Masks, as compilers turn chains of choices into branches. */
    uint zero = gm_mask(e < 257u) | gm_mask(ea == 0u) | gm_mask(eb == 255u);
    uint infinite = gm_mask(e > 510u) | gm_mask(ea == 255u) | gm_mask(eb == 0u);
    uint nan = (zero & infinite) | gm_mask((ua & GM_ABS) > GM_INF) | gm_mask((ub & GM_ABS) > GM_INF);
    u = (u & ~(zero | infinite)) | ((sign | GM_INF) & infinite);
    u = (u & ~nan) | (GM_NAN & nan);
    return gm_float(u);
}

/* 1 / x, correctly rounded; +0 for |x| > 2^126. */
GM_FN float gm_rcp(float x)
{
    return gm_div(gm_float(GM_ONE), x);
}

/* gm_div() where both arguments are canonical and the quotient is 0, infinite, NaN (of any pattern) or surely
 * above 2^-126: a processor's own division is then the same, being correctly rounded (IEEE 754, 5.4.1), and
 * takes a tenth of the time. */
GM_FN float gm_div_normal(float a, float b)
{
#ifdef __STDC__
    return a / b;
#else
    return gm_div(a, b);
#endif
}

/* 1 / x, likewise, for |x| below 2^126. */
GM_FN float gm_rcp_normal(float x)
{
    return gm_div_normal(gm_float(GM_ONE), x);
}

/* About 1/sqrt(f) for 1 <= f < 4: an integer seed and three Newton steps, the last one in its more exact
 * form. */
GM_FN float gm_rsqrt_significand(float f)
{
    float h = f * gm_float(0x3f000000u);                 /* 0.5 */
    float y = gm_float(0x5f375a86u - (gm_bits(f) >> 1)); /* Lomont 2003 */
    y = y * (gm_float(0x3fc00000u) - (h * y) * y);       /* 1.5 */
    y = y * (gm_float(0x3fc00000u) - (h * y) * y);
    return y + y * (gm_float(0x3f000000u) - (h * y) * y);
}

/* 1 / sqrt(x), 1.2 ULP. Zeros and subnormals give inf, inf gives +0, a negative x gives NaN. */
GM_FN float gm_rsqrt(float x)
{
    uint u = gm_bits(x);
    uint e = u >> 23;
    float y = gm_rsqrt_significand(gm_float((u & GM_FRACTION) | ((e & 1u) != 0u ? GM_ONE : 0x40000000u)));
    uint v = gm_bits(y) + ((127u - ((e + 127u) >> 1)) << 23);
    v = u == GM_INF ? 0u : (u > GM_INF ? GM_NAN : v);
    return gm_float((u & GM_ABS) < GM_NORMAL ? GM_INF : v);
}

/* sqrt(x), correctly rounded. Zeros and subnormals give +0, inf gives inf, a negative x gives NaN. */
GM_FN float gm_sqrt(float x)
{
    uint u = gm_bits(x);
    uint e = u >> 23;
    uint odd =
        e & 1u; /* then the exponent e - 127 is even and the significand is taken in [1, 2), else in [2, 4) */
    float f = gm_float((u & GM_FRACTION) | (odd != 0u ? GM_ONE : 0x40000000u));
    float y = gm_rsqrt_significand(f);
    float t = f * y;

    /* s: the root times 2^24, at most 16 too small; r: f * 2^48 - s^2, less than 2^30. */
    uint square = ((u & GM_FRACTION) | GM_NORMAL) << (26u - odd);
    uint s = ((gm_bits(t) - 0x3f000000u) << 1) - 8u;
    uint r = square - s * s;
    float d = (gm_float(GM_UNIT | (r >> 8)) - gm_float(GM_UNIT)) * (y * gm_float(0x37000000u)); /* 2^-17 */
    s = s + (gm_bits(d + gm_float(GM_UNIT)) & GM_FRACTION);
    r = square - s * s;
    s = s - (r >> 31); /* now the floor; no root is half-way between two floats */

    uint v = (((e + 127u) >> 1) << 23) + ((s + 1u) >> 1) - GM_NORMAL;
    v = u == GM_INF ? GM_INF : (u > GM_INF ? GM_NAN : v);
    return gm_float((u & GM_ABS) < GM_NORMAL ? 0u : v);
}

/* gm_sqrt() of what is +0, positive and normal, infinite or NaN (which gives a NaN of any pattern): a
 * processor's own root is then the same, being correctly rounded (IEEE 754, 5.4.1). */
GM_FN float gm_sqrt_normal(float x)
{
#ifdef __STDC__
    return __builtin_sqrtf(x);
#else
    return gm_sqrt(x);
#endif
}

#endif
