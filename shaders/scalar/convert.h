/* Conversions between integers, float, bfloat16 and half, from bits and to bits; rounded to nearest, ties to
 * even. No device conversion is used: some fuse it with the arithmetic around it. 16-bit numbers are in the
 * low half of a uint. */
#ifndef SHADERS_SCALAR_CONVERT_H
#define SHADERS_SCALAR_CONVERT_H

#include "shaders/scalar/bits.h"

/* Both halves of n are exact floats; their sum is rounded once. */
GM_FN float gm_from_uint(uint n)
{
    float low = gm_float(GM_UNIT | (n & 0xffffu)) - gm_float(GM_UNIT);
    float high = gm_float(0x53000000u | (n >> 16)) - gm_float(0x53000000u); /* 2^39, where a unit is 2^16 */
    return high + low;
}

GM_FN float gm_from_int(int n)
{
    uint u = gm_uint(n);
    uint sign = u & GM_SIGN;
    float magnitude = gm_from_uint(sign != 0u ? 0u - u : u);
    return gm_float(gm_bits(magnitude) | sign);
}

GM_FN float gm_bf16_to_float(uint h)
{
    return gm_float(h << 16);
}

GM_FN uint gm_float_to_bf16(float x)
{
    uint u = gm_bits(x);
    uint rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    return (u & GM_ABS) > GM_INF ? 0x7fc0u : rounded;
}

/* Half has 5 exponent and 10 fraction bits. A subnormal half, n * 2^-24, is the difference of two normal
 * floats. */
GM_FN float gm_half_to_float(uint h)
{
    uint sign = (h & 0x8000u) << 16;
    uint a = (h & 0x7fffu) << 13;
    uint normal = a + 0x38000000u;                                       /* (127 - 15) << 23 */
    float subnormal = gm_float(a | 0x38800000u) - gm_float(0x38800000u); /* 2^-14 */
    uint u = a < 0x00800000u ? gm_bits(subnormal) : normal;
    u = a >= 0x0f800000u ? (a == 0x0f800000u ? GM_INF : GM_NAN) : u;
    return gm_float(u == GM_NAN ? GM_NAN : u | sign);
}

GM_FN uint gm_float_to_half(float x)
{
    uint u = gm_bits(x);
    uint sign = (u & GM_SIGN) >> 16;
    uint a = u & GM_ABS;
    uint normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13;
    /* Below 2^-14 the sum with 0.5, whose last place is 2^-24, rounds to the subnormal halves. What is far
     * below the half of 2^-24 is skipped: it may be subnormal. */
    float sum = gm_float(a < 0x26000000u ? 0u : a) + gm_float(0x3f000000u); /* 0.5 */
    uint h = a < 0x38800000u ? gm_bits(sum) - 0x3f000000u : normal;         /* 2^-14 */
    h = a >= 0x477ff000u ? 0x7c00u : h; /* 65520, half-way beyond the largest */
    return a > GM_INF ? 0x7e00u : h | sign;
}

#endif
