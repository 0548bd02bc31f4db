/* Probes of what golden numerics take for granted, one text for C and GLSL: gm_probe(i, a, b, c) is the bits
 * of probe i for any canonical numbers. Each names the liberty that a device must not take. */
#ifndef SHADERS_SELFTEST_ARITHMETIC_H
#define SHADERS_SELFTEST_ARITHMETIC_H

#include "shaders/scalar/scalar.h"

#define GM_PROBES 20u

GM_FN uint gm_probe_integer(uint i, uint a, uint b)
{
    switch (i) {
    case 14u:
        return a * b + (a >> (b & 31u)); /* modulo 2^32, logical shift */
    case 15u:
        return gm_multiply_high(a, b);
    case 16u:
        return b == 0u ? a : a / b + a % b; /* unsigned */
    case 17u:
        return (a - b) ^ (a << (b & 31u));
    case 18u:
        return (gm_int(a) < gm_int(b) ? 2u : 0u) | (a < b ? 1u : 0u);
    default:
        return (a & b) | (~a ^ b);
    }
}

GM_FN uint gm_probe(uint i, float a, float b, float c)
{
    float one = gm_float(GM_ONE), last = gm_float(0x33800000u); /* 2^-24, half of the last place of 1 */
    switch (i) {
    case 0u:
        return gm_bits(gm_flush(a * b + c)); /* contracted to fma */
    case 1u:
        return gm_bits(gm_flush(c - a * b));
    case 2u:
        return gm_bits(gm_flush((a + b) - a)); /* simplified to b */
    case 3u:
        return gm_bits(gm_flush(a * b + a * c)); /* factored to a * (b + c) */
    case 4u:
        return gm_bits(gm_flush((a + one) + c)); /* constants moved */
    case 5u:
        return gm_bits(gm_flush((a * gm_float(0x40400000u)) * gm_float(0x40e00000u)));
    case 6u:
        return gm_bits(gm_flush((a * b) * c)); /* reassociated */
    case 7u:
        return gm_bits(gm_flush(a + (b + c)));
    case 8u:
        return gm_bits(gm_flush(a * gm_float(0u))); /* -0 */
    case 9u:
        return gm_bits(gm_flush((one + a * last) - one)); /* ties to even */
    case 10u:
        return gm_bits(gm_flush(a * gm_float(0x4b400000u) - a * gm_float(0x4b3fffffu)));
    case 11u:
        return gm_bits(gm_flush(a - b));
    case 12u:
        return gm_bits(gm_flush(gm_max(a, b)));
    case 13u:
        return a < b ? 1u : (a == b ? 2u : (a > c ? 3u : 4u));
    default:
        return gm_probe_integer(i, gm_bits(a) * 2654435761u, gm_bits(b) ^ (gm_bits(c) << 9));
    }
}

#endif
