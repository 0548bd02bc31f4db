/* The scalar self-test, one text for C and GLSL: gm_selftest(function, index) makes arguments from the index
 * alone, applies a function of shaders/scalar to them and gives the bits of the result. A device may run
 * golden arithmetic only if selftest_scalar.comp gives the same words there as this header gives in C. Beside
 * our functions it probes what they rely on: no contraction, no reassociation, rounding to nearest. */
#ifndef SHADERS_SELFTEST_SCALAR_H
#define SHADERS_SELFTEST_SCALAR_H

#include "shaders/scalar/scalar.h"

#define GM_SELFTEST_FUNCTIONS 32u
#define GM_SELFTEST_INDICES 4096u /* of each function at start-up; more indices give more arguments */

/* Every kind of number, and the places where our functions change branch. */
GM_FN uint gm_selftest_special(uint i)
{
    switch (i) {
    case 0u:
        return 0u;
    case 1u:
        return 0x80000000u; /* -0 */
    case 2u:
        return 0x00000001u;
    case 3u:
        return 0x807fffffu;
    case 4u:
        return 0x00800000u; /* 2^-126 */
    case 5u:
        return 0x03800000u; /* 2^-120 */
    case 6u:
        return 0x25ffffffu; /* just below 2^-51 */
    case 7u:
        return 0x26000000u; /* 2^-51 */
    case 8u:
        return 0xa6000000u;
    case 9u:
        return 0x3effffffu; /* just below 0.5 */
    case 10u:
        return 0x3f490fdau; /* pi/4 */
    case 11u:
        return 0x3f800000u; /* 1 */
    case 12u:
        return 0xbf800000u;
    case 13u:
        return 0x3f800001u;
    case 14u:
        return 0x40490fdbu; /* pi */
    case 15u:
        return 0x42b17217u; /* the largest argument of exp */
    case 16u:
        return 0x42b17218u;
    case 17u:
        return 0xc20d66ebu; /* where exp becomes 0 */
    case 18u:
        return 0xc2ae0000u; /* -87 */
    case 19u:
        return 0x477ff000u; /* 65520 */
    case 20u:
        return 0x4effffffu; /* just below 2^31 */
    case 21u:
        return 0x7f7fffffu; /* the largest number */
    case 22u:
        return 0x7f800000u; /* inf */
    case 23u:
        return 0xff800000u;
    case 24u:
        return 0x7f800001u; /* NaNs */
    default:
        return 0xffc00000u;
    }
}

/* Bits of a number: the special ones first (26^2 pairs of them), then a quarter of any bits, the rest of the
 * size that training meets. */
GM_FN uint gm_selftest_number(uint index, uint special, uint random, uint choice)
{
    uint usual = (random & 0x807fffffu) | ((111u + (choice & 31u)) << 23); /* 2^-16 to 2^15 */
    uint u = (choice & 0x60u) == 0u ? random : usual;
    return index < 676u ? gm_selftest_special(special) : u;
}

/* `a` and `b` are any bits, `x` and `y` their canonical numbers. */
GM_FN uint gm_selftest_apply(uint function, uint a, uint b, uint c)
{
    float raw = gm_float(a), x = gm_flush(raw), y = gm_flush(gm_float(b));
    GM_STRUCT(gm_words) counter;
    GM_STRUCT(gm_pair) pair;
    float z = gm_float((c & 0x807fffffu) | 0x3f800000u); /* 1 <= |z| < 2 */
    switch (function) {
    case 0u:
        return gm_bits(gm_flush(raw));
    case 1u:
        return gm_bits(gm_flush_square(raw));
    case 2u:
        return gm_bits(gm_exp(x));
    case 3u:
        return gm_bits(gm_log(raw));
    case 4u:
        return gm_bits(gm_rsqrt(raw));
    case 5u:
        return gm_bits(gm_sqrt(raw));
    case 6u:
        return gm_bits(gm_rcp(raw));
    case 7u:
        return gm_bits(gm_div(raw, gm_float(b)));
    case 8u:
        return gm_bits(gm_sin(x));
    case 9u:
        return gm_bits(gm_cos(x));
    case 10u:
        return gm_bits(gm_tanh(x));
    case 11u:
        return gm_bits(gm_erf(x));
    case 12u:
        return gm_bits(gm_sigmoid(x));
    case 13u:
        return gm_bits(gm_silu(x));
    case 14u:
        return gm_bits(gm_pow_int(x, b >> (c & 31u)));
    case 15u:
        return gm_bits(gm_pow(gm_float(gm_bits(x) & ((c & 15u) == 0u ? 0xffffffffu : GM_ABS)), y));
    case 16u:
        return gm_bits(gm_flush(gm_max(x, y)));
    case 17u:
        return gm_bits(gm_from_uint(a));
    case 18u:
        return gm_bits(gm_from_int(gm_int((b >> (c & 31u)) - (a & 0xffffu))));
    case 19u:
        return gm_bits(gm_bf16_to_float(a >> 16));
    case 20u:
        return gm_bits(gm_half_to_float(a >> 16));
    case 21u:
        return gm_float_to_bf16(raw);
    case 22u:
        return gm_float_to_half(raw);
    case 23u:
        counter.x = a;
        counter.y = b;
        counter.z = c;
        counter.w = 0u;
        return gm_philox(counter, b, a).w;
    case 24u:
        return gm_bits(gm_uniform(a));
    case 25u:
        return gm_bits(gm_normal(a, b));
    case 26u:
        pair = gm_normal_pair(a, b);
        return gm_bits(pair.lo);
    case 27u:
        return gm_bits(gm_flush(x * y + z)); /* not fused */
    case 28u:
        return gm_bits(gm_flush((z + y) - z)); /* not reassociated */
    case 29u:
        return gm_bits(gm_flush(z * y + z * x)); /* not made z * (y + x) */
    case 30u:
        return gm_bits(
            gm_flush((z + gm_float(0x3eaaaaabu)) + gm_float(0x3f333333u))); /* 1/3, 0.7; not z + 1.03 */
    default:
        return gm_bits(gm_flush((z * gm_float(0x40400000u)) * gm_float(0x40e00000u))); /* 3, 7; not z * 21 */
    }
}

/* The bits of result `index` of a function, both from 0 on. NaN counts as one pattern. */
GM_FN uint gm_selftest(uint function, uint index)
{
    GM_STRUCT(gm_words) counter;
    counter.x = index;
    counter.y = function;
    counter.z = 0u;
    counter.w = 0u;
    GM_STRUCT(gm_words) random = gm_philox(counter, 0x65737061u, 0x6c696572u); /* "espalier" */
    uint a = gm_selftest_number(index, index % 26u, random.x, random.w);
    uint b = gm_selftest_number(index, index / 26u, random.y, random.w >> 8);
    return gm_selftest_apply(function, a, b, random.z);
}

#endif
