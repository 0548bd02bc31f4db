/* Bit patterns, the store flush and the dialect that lets one text be C and GLSL.
 *
 * Rules of every file in this folder (golden arithmetic):
 *  - only + - * on f32, comparisons, and 32-bit integer operations: those give the same bits on every device;
 *  - each constant is one bit pattern, gm_float(0x...u), with its value beside it, and there is no arithmetic
 *    between constants: GLSL compilers fold it in double, C in float;
 *  - a number is *canonical* when it is +0, 2^-51 <= |x| <= inf, or the NaN 0x7fc00000. For canonical
 * arguments no operation here has a subnormal operand or result, so it does not matter whether a device
 * flushes them.
 *  - what may differ between devices (the sign of a zero, the bits of a NaN) never reaches a result: every
 *    function tests its argument in integers. */
#ifndef SHADERS_SCALAR_BITS_H
#define SHADERS_SCALAR_BITS_H

#ifdef __STDC__
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint32_t uint;
#define GM_FN static inline
#define GM_STRUCT(name) struct name
#define gm_int(u) ((int)(u))
#define gm_uint(i) ((uint)(i))

GM_FN uint gm_bits(float x)
{
    uint u;
    memcpy(&u, &x, sizeof u);
    return u;
}

GM_FN float gm_float(uint u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* The upper half of the 64-bit product. */
GM_FN uint gm_multiply_high(uint a, uint b)
{
    return (uint)((uint64_t)a * b >> 32);
}

#else
#define GM_FN
#define GM_STRUCT(name) name
#define gm_int(u) int(u)
#define gm_uint(i) uint(i)
#define gm_bits(x) floatBitsToUint(x)
#define gm_float(u) uintBitsToFloat(u)

uint gm_multiply_high(uint a, uint b)
{
    uint high, low;
    umulExtended(a, b, high, low);
    return high;
}
#endif

#define GM_SIGN 0x80000000u
#define GM_ABS 0x7fffffffu
#define GM_FRACTION 0x007fffffu
#define GM_INF 0x7f800000u
#define GM_NAN 0x7fc00000u
#define GM_ONE 0x3f800000u    /* 1 */
#define GM_NORMAL 0x00800000u /* 2^-126, the smallest normal number; also the hidden bit of a significand */
#define GM_TINY \
    0x26000000u /* 2^-51: products of such numbers, and sums of the products, are never subnormal */
#define GM_TINY_SQUARE 0x03800000u /* 2^-120 */
#define GM_ROUND 0x4b400000u       /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
#define GM_UNIT 0x4b000000u /* 2^23: the integer n < 2^23 is gm_float(GM_UNIT | n) - gm_float(GM_UNIT) */

/* All ones where the condition holds, else 0. */
GM_FN uint gm_mask(bool condition)
{
    return 0u - gm_uint(condition);
}

/* a where the condition holds, else b. By a mask in C: a conditional expression would leave the compiler free
 * to skip the work behind the other one, and then loops over rows do not become vectors. */
GM_FN uint gm_choose(bool condition, uint a, uint b)
{
#ifdef __STDC__
    uint mask = gm_mask(condition);
    return (a & mask) | (b & ~mask);
#else
    return condition ? a : b;
#endif
}

GM_FN bool gm_is_nan(float x)
{
    return (gm_bits(x) & GM_ABS) > GM_INF;
}

GM_FN bool gm_is_finite(float x)
{
    return (gm_bits(x) & GM_ABS) < GM_INF;
}

/* The canonical number for x: what a store writes, and what goes between chained products and after sums that
 * cancel. |x| < 2^-51 and -0 give +0, every NaN gives 0x7fc00000. */
GM_FN float gm_flush(float x)
{
    uint u = gm_bits(x);
    uint a = u & GM_ABS;
    return gm_float(gm_choose(a < GM_TINY, 0u, gm_choose(a > GM_INF, GM_NAN, u)));
}

/* The same with the threshold 2^-120, for sums of squares that are only added and scaled by constants near 1:
 * such sums do not cancel, and with 2^-51 AdamW would forget every gradient below 6.7e-7. */
GM_FN float gm_flush_square(float x)
{
    uint u = gm_bits(x);
    uint a = u & GM_ABS;
    return gm_float(gm_choose(a < GM_TINY_SQUARE, 0u, gm_choose(a > GM_INF, GM_NAN, u)));
}

/* |x|, by its bits. */
GM_FN float gm_abs(float x)
{
    return gm_float(gm_bits(x) & GM_ABS);
}

/* The larger; a where they are equal or either is NaN. */
GM_FN float gm_max(float a, float b)
{
    return a < b ? b : a;
}

GM_FN float gm_min(float a, float b)
{
    return b < a ? b : a;
}

#endif
