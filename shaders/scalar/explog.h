/* Exponential, logarithm and powers. Cody and Waite 1980 for the reductions; the polynomials are minimax
 * (Remez), their coefficients rounded one after the other. */
#ifndef SHADERS_SCALAR_EXPLOG_H
#define SHADERS_SCALAR_EXPLOG_H

#include "shaders/scalar/bits.h"
#include "shaders/scalar/pair.h"

/* e^r * 2^k for |r| <= 0.35, where the low bits of `k_bits` are those of k. The caller handles k outside
 * [-126, 128]. */
GM_FN uint gm_exp_reduced(float r, uint k_bits)
{
    float p = gm_float(0x39506967u);   /* 1.98756912e-4 */
    p = p * r + gm_float(0x3ab743ceu); /* 1.39819994e-3 */
    p = p * r + gm_float(0x3c088908u); /* 8.33345205e-3 */
    p = p * r + gm_float(0x3d2aa9c1u); /* 4.16657962e-2 */
    p = p * r + gm_float(0x3e2aaaaau); /* 1.66666657e-1 */
    p = p * r + gm_float(0x3f000000u); /* 0.5 */
    p = (p * (r * r) + r) + gm_float(GM_ONE);
    return gm_bits(p) + (k_bits << 23);
}

/* e^x, 1 ULP. Where that is below 2^-51, that is from x < -35.3505058 on, it is +0; x > 88.7228317 gives inf.
 */
GM_FN float gm_exp(float x)
{
    float t = x * gm_float(0x3fb8aa3bu) + gm_float(GM_ROUND); /* log2(e) = 1.44269502 */
    float k = t - gm_float(GM_ROUND);
    float r =
        (x - k * gm_float(0x3f318000u)) - k * gm_float(0xb95e8083u); /* ln 2 = 355/512 - 2.12194442e-4 */
    uint u = gm_exp_reduced(r, gm_bits(t));
    u = x < gm_float(0xc2ae0000u) || u < GM_TINY ? 0u : u; /* -87 */
    u = x > gm_float(0x42b17217u) ? GM_INF : u;            /* 88.7228317 */
    return gm_float(gm_is_nan(x) ? GM_NAN : u);
}

/* ln x, 0.8 ULP. Zeros and subnormals give -inf, inf gives inf, a negative x gives NaN. */
GM_FN float gm_log(float x)
{
    /* x = (1 + f) * 2^k with 1 + f in [sqrt(1/2), sqrt(2)). */
    uint u = gm_bits(x);
    uint shifted = u + 0x004afb0du;
    float k = gm_float(GM_ROUND + (shifted >> 23)) - gm_float(0x4b40007fu); /* 1.5 * 2^23 + 127 */
    float f = gm_float((shifted & GM_FRACTION) + 0x3f3504f3u) - gm_float(GM_ONE);
    float square = f * f;
    float p = gm_float(0x3d5aafe2u);   /* 5.33903912e-2 */
    p = p * f + gm_float(0xbddfa3b6u); /* -1.09198973e-1 */
    p = p * f + gm_float(0x3df7ff18u); /* 1.21092021e-1 */
    p = p * f + gm_float(0xbe00813cu); /* -1.2549299e-1 */
    p = p * f + gm_float(0x3e11817fu); /* 1.42095551e-1 */
    p = p * f + gm_float(0xbe2a9783u); /* -1.66593596e-1 */
    p = p * f + gm_float(0x3e4cd2a1u); /* 2.00022236e-1 */
    p = p * f + gm_float(0xbe800038u); /* -2.50001669e-1 */
    p = p * f + gm_float(0x3eaaaaa4u); /* 3.33333135e-1 */
    p = (p * f) * square;
    p = p + k * gm_float(0xb95e8083u);       /* ln 2 - 355/512 = -2.12194442e-4 */
    p = p - gm_float(0x3f000000u) * square;  /* 0.5 */
    p = (f + p) + k * gm_float(0x3f318000u); /* 355/512 */
    uint v = u > GM_INF ? GM_NAN : (u == GM_INF ? GM_INF : gm_bits(p));
    return gm_float((u & GM_ABS) < GM_NORMAL ? 0xff800000u : v);
}

/* ln x as a pair, for positive normal x: the terms f - f^2/2 + f^3/3 of the series in twice the precision.
 * lo is 0 or at least 2^-51. */
GM_FN GM_STRUCT(gm_pair) gm_log_pair(float x)
{
    uint shifted = gm_bits(x) + 0x004afb0du;
    float k = gm_float(GM_ROUND + (shifted >> 23)) - gm_float(0x4b40007fu); /* 1.5 * 2^23 + 127 */
    float f = gm_float((shifted & GM_FRACTION) + 0x3f3504f3u) - gm_float(GM_ONE);
    float q = gm_float(0x3d8a364cu);   /* 6.74863756e-2 */
    q = q * f + gm_float(0xbdeb82b5u); /* -1.14995398e-1 */
    q = q * f + gm_float(0x3df16359u); /* 1.17865272e-1 */
    q = q * f + gm_float(0xbdfe95bcu); /* -1.24309033e-1 */
    q = q * f + gm_float(0x3e11cd9cu); /* 1.42385900e-1 */
    q = q * f + gm_float(0xbe2aaba4u); /* -1.66670382e-1 */
    q = q * f + gm_float(0x3e4ccf60u); /* 2.00009823e-1 */
    q = q * f + gm_float(0xbe800005u); /* -2.50000149e-1 */

    GM_STRUCT(gm_pair) square = gm_pair_product(f, f);
    GM_STRUCT(gm_pair) cube = gm_pair_product(square.hi, f);
    cube.lo = cube.lo + square.lo * f;
    GM_STRUCT(gm_pair)
    series = gm_pair_sum_ordered(gm_float(0x3eaaaaabu), f * q); /* 1/3 = 0.333333343 - 9.93410776e-9 */
    series.lo = series.lo + gm_float(0xb22aaaabu);
    GM_STRUCT(gm_pair) tail = gm_pair_multiply(cube, series);

    GM_STRUCT(gm_pair) head = gm_pair_sum_ordered(f, square.hi * gm_float(0xbf000000u)); /* -0.5 */
    float lo = (head.lo - square.lo * gm_float(0x3f000000u)) + tail.lo;                  /* 0.5 */
    head = gm_pair_sum(head.hi, tail.hi);
    lo = lo + head.lo;
    head = gm_pair_sum(k * gm_float(0x3f318000u), head.hi);                          /* 355/512 */
    head = gm_pair_sum_ordered(head.hi, head.lo + (lo + k * gm_float(0xb95e8083u))); /* ln 2 - 355/512 */
    head.lo = gm_flush(head.lo);
    return head;
}

/* x^y for x >= 0, 1.3 ULP: the exponent y ln x is in twice the precision. A result below 2^-51 is +0; x^0 is
 * 1, 0^y is +0 or inf, a negative x gives NaN. x and y canonical. */
GM_FN float gm_pow(float x, float y)
{
    uint u = gm_bits(x);
    uint v = gm_bits(y);
    bool zero = (u & GM_ABS) < GM_NORMAL;
    bool to_zero = zero == (v < GM_SIGN); /* 0^positive and inf^negative */
    GM_STRUCT(gm_pair) l = gm_log_pair(x);
    GM_STRUCT(gm_pair) e = gm_pair_product(y, l.hi);
    e.lo = gm_flush(e.lo + y * l.lo);
    float t = e.hi * gm_float(0x3fb8aa3bu) + gm_float(GM_ROUND); /* log2(e) */
    float k = t - gm_float(GM_ROUND);
    float r = ((e.hi - k * gm_float(0x3f318000u)) - k * gm_float(0xb95e8083u)) + e.lo; /* ln 2, see gm_exp */
    uint w = gm_exp_reduced(gm_flush(r), gm_bits(t));
    w = e.hi < gm_float(0xc2ae0000u) || w < GM_TINY ? 0u : w; /* -87 */
    w = e.hi > gm_float(0x42b17217u) ? GM_INF : w;            /* 88.7228317 */
    w = zero || u == GM_INF ? (to_zero ? 0u : GM_INF) : w;
    w = u > GM_INF && !zero ? GM_NAN : w;
    w = (v & GM_ABS) < GM_NORMAL || u == GM_ONE ? GM_ONE : w;
    return gm_float((u & GM_ABS) > GM_INF || (v & GM_ABS) > GM_INF ? GM_NAN : w);
}

/* x^n by squaring, in twice the precision inside: 1 ULP for n up to 2^20. Below 2^-126 it is +0; x^0 is 1.
 * The squares run on the significand, in [1, 2), beside an exponent kept within +-2^16. */
GM_FN float gm_pow_int(float x, uint n)
{
    uint u = gm_bits(x);
    uint a = u & GM_ABS;
    uint sign = (n & 1u) != 0u ? u & GM_SIGN : 0u;
    GM_STRUCT(gm_pair) square, power;
    square.hi = gm_float((a & GM_FRACTION) | GM_ONE);
    square.lo = gm_float(0u);
    power.hi = gm_float(GM_ONE);
    power.lo = gm_float(0u);
    int square_exponent = gm_int(a >> 23) - 127;
    int exponent = 0;
    for (uint rest = n; rest != 0u; rest = rest >> 1) {
        if ((rest & 1u) != 0u) {
            power = gm_pair_multiply(power, square);
            exponent = exponent + square_exponent;
            bool large = gm_bits(power.hi) >= 0x40000000u; /* 2 */
            float scale = gm_float(large ? 0x3f000000u : GM_ONE);
            power.hi = power.hi * scale;
            power.lo = gm_flush(power.lo * scale);
            exponent = exponent + (large ? 1 : 0);
        }
        square = gm_pair_multiply(square, square);
        bool large = gm_bits(square.hi) >= 0x40000000u;
        float scale = gm_float(large ? 0x3f000000u : GM_ONE); /* 0.5 */
        square.hi = square.hi * scale;
        square.lo = gm_flush(square.lo * scale);
        square_exponent = square_exponent * 2 + (large ? 1 : 0);
        square_exponent =
            square_exponent > 65536 ? 65536 : (square_exponent < -65536 ? -65536 : square_exponent);
    }
    uint w = gm_bits(power.hi) + (gm_uint(exponent) << 23);
    w = exponent < -126 ? 0u : (exponent > 127 ? GM_INF : w);
    w = a < GM_NORMAL ? 0u : (a == GM_INF ? GM_INF : w);
    w = w == 0u ? 0u : w | sign;
    w = a > GM_INF ? GM_NAN : w;
    return gm_float(n == 0u ? GM_ONE : w);
}

#endif
