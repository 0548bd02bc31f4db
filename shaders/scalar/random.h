/* Counter-based randomness: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, SC 2011).
 * The words are a pure function of counter and key, so nothing depends on who asks, or when. */
#ifndef SHADERS_SCALAR_RANDOM_H
#define SHADERS_SCALAR_RANDOM_H

#include "shaders/scalar/bits.h"
#include "shaders/scalar/explog.h"
#include "shaders/scalar/root.h"
#include "shaders/scalar/trig.h"

struct gm_words {
    uint x;
    uint y;
    uint z;
    uint w;
};

GM_FN GM_STRUCT(gm_words) gm_philox(GM_STRUCT(gm_words) counter, uint key0, uint key1)
{
    GM_STRUCT(gm_words) c = counter;
    for (uint i = 0u; i < 10u; i = i + 1u) {
        uint high0 = gm_multiply_high(0xd2511f53u, c.x);
        uint high1 = gm_multiply_high(0xcd9e8d57u, c.z);
        GM_STRUCT(gm_words) next;
        next.x = high1 ^ c.y ^ key0;
        next.y = 0xcd9e8d57u * c.z;
        next.z = high0 ^ c.w ^ key1;
        next.w = 0xd2511f53u * c.x;
        c = next;
        key0 = key0 + 0x9e3779b9u; /* the golden ratio */
        key1 = key1 + 0xbb67ae85u; /* sqrt(3) - 1 */
    }
    return c;
}

/* Random bits to (0, 1): the upper 23 bits n become (n + 1/2) * 2^-23, exactly. */
GM_FN float gm_uniform(uint bits)
{
    return gm_float(GM_ONE | (bits >> 9)) - gm_float(0x3f7fffffu); /* 1 - 2^-24 */
}

/* Two independent standard normal numbers of two random words, |x| < 5.8 (Box and Muller 1958). The second
 * word is a whole turn, so its angle needs no reduction. */
GM_FN GM_STRUCT(gm_pair) gm_normal_pair(uint bits0, uint bits1)
{
    float square = gm_log(gm_uniform(bits0)) * gm_float(0xc0000000u); /* -2 */
    float radius = gm_sqrt(square);
    GM_STRUCT(gm_angle) angle = gm_angle_of_quarters(bits1, 0u, 0u);
    GM_STRUCT(gm_pair) normal;
    normal.lo = gm_flush(radius * gm_sin_angle(angle));
    angle.quadrant = angle.quadrant + 1u;
    normal.hi = gm_flush(radius * gm_sin_angle(angle));
    return normal;
}

/* The first of the two. */
GM_FN float gm_normal(uint bits0, uint bits1)
{
    return gm_normal_pair(bits0, bits1).hi;
}

#endif
