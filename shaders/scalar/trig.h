/* Sine and cosine, right to the last place for every |x| < 2^31: the angle is reduced by multiplying its
 * integer significand by a 96-bit window of 2/pi (Payne and Hanek 1983), exactly, in 32-bit integers. */
#ifndef SHADERS_SCALAR_TRIG_H
#define SHADERS_SCALAR_TRIG_H

#include "shaders/scalar/bits.h"
#include "shaders/scalar/pair.h"

/* quadrant * pi/2 + hi + lo, with |hi + lo| <= pi/4; only the last two bits of `quadrant` matter. */
struct gm_angle {
    float hi;
    float lo;
    uint quadrant;
};

/* The float of an integer below 2^16. */
GM_FN float gm_from_small(uint n)
{
    return gm_float(GM_UNIT | n) - gm_float(GM_UNIT);
}

/* The angle of p0 * 2^-30 + p1 * 2^-62 + p2 * 2^-94 quarter turns. */
GM_FN GM_STRUCT(gm_angle) gm_angle_of_quarters(uint p0, uint p1, uint p2)
{
    GM_STRUCT(gm_angle) angle;
    angle.quadrant = (p0 + 0x20000000u) >> 30;
    p0 = p0 - (angle.quadrant << 30);
    uint sign = p0 & GM_SIGN;
    uint flip = sign != 0u ? 0xffffffffu : 0u; /* the complement is the negative, but for 2^-94 */
    p0 = p0 ^ flip;
    p1 = p1 ^ flip;
    p2 = p2 ^ flip;

    /* Four pieces of 16 bits, from the weight 2^-17 down, are exact floats; then a product with pi/2. */
    float c0 = gm_from_small(p0 >> 13) * gm_float(0x37000000u);                           /* 2^-17 */
    float c1 = gm_from_small(((p0 & 0x1fffu) << 3) | (p1 >> 29)) * gm_float(0x2f000000u); /* 2^-33 */
    float c2 = gm_from_small((p1 >> 13) & 0xffffu);
    float c3 = gm_from_small(((p1 & 0x1fffu) << 3) | (p2 >> 29)) * gm_float(0x37800000u); /* 2^-16 */
    GM_STRUCT(gm_pair) f = gm_pair_sum_ordered(c0, c1);
    f = gm_pair_sum_ordered(f.hi, f.lo + (c2 + c3) * gm_float(0x27000000u));         /* 2^-49 */
    GM_STRUCT(gm_pair) r = gm_pair_product(f.hi, gm_float(0x3fc90fdbu));             /* 1.57079637 */
    float lo = r.lo + (f.lo * gm_float(0x3fc90fdbu) - f.hi * gm_float(0x333bbd2eu)); /* 4.37113883e-8 */
    angle.hi = gm_float(gm_bits(r.hi) ^ sign);
    angle.lo = gm_float(gm_bits(gm_flush(lo)) ^ sign);
    return angle;
}

/* The angle of |x|, for canonical |x| < 2^31. */
GM_FN GM_STRUCT(gm_angle) gm_angle_of(float x)
{
    uint a = gm_bits(x) & GM_ABS;
    uint s = a < 0x3f000000u ? 0u : ((a >> 23) - 126u) & 31u; /* |x| = m * 2^(s - 24) with m an integer */
    uint m = (a & GM_FRACTION) | GM_NORMAL;

    /* y: bits of 2/pi * 2^s from the weight 2^25 down. What lies above only adds whole turns to the product.
     */
    uint y0 = (0x00000028u << s) | ((0xbe60db93u >> 1) >> (31u - s));
    uint y1 = (0xbe60db93u << s) | ((0x91054a7fu >> 1) >> (31u - s));
    uint y2 = (0x91054a7fu << s) | ((0x09d5f47du >> 1) >> (31u - s));
    uint carry = gm_multiply_high(m, y2);
    uint p1 = m * y1 + carry;
    uint p0 = m * y0 + gm_multiply_high(m, y1) + (p1 < carry ? 1u : 0u);
    GM_STRUCT(gm_angle) angle = gm_angle_of_quarters(p0, p1, m * y2);

    if (a <= 0x3f490fdau) { /* pi/4 */
        angle.hi = gm_float(a);
        angle.lo = gm_float(0u);
        angle.quadrant = 0u;
    }
    return angle;
}

/* The sine of angle.hi + angle.lo, near 0. */
GM_FN float gm_sin_near(GM_STRUCT(gm_angle) angle)
{
    float z = gm_flush(angle.hi * angle.hi);
    float p = gm_float(0x363e1628u);                              /* 2.83251029e-6 */
    p = p * z + gm_float(0xb9502caau);                            /* -1.98530644e-4 */
    p = p * z + gm_float(0x3c0888bau);                            /* 8.3333794e-3 */
    p = p * z + gm_float(0xbe2aaaabu);                            /* -1.66666672e-1 */
    float lo = angle.lo - (gm_float(0x3f000000u) * z) * angle.lo; /* 0.5 */
    return angle.hi + (angle.hi * (z * p) + lo);
}

/* The cosine of angle.hi + angle.lo, near 0. */
GM_FN float gm_cos_near(GM_STRUCT(gm_angle) angle)
{
    float z = gm_flush(angle.hi * angle.hi);
    float p = gm_float(0xb49b0c26u);          /* -2.8879839e-7 */
    p = p * z + gm_float(0x37d038dfu);        /* 2.48220149e-5 */
    p = p * z + gm_float(0xbab60bafu);        /* -1.388898e-3 */
    p = p * z + gm_float(0x3d2aaaabu);        /* 4.16666679e-2 */
    float half_z = z * gm_float(0x3f000000u); /* 0.5 */
    float w = gm_float(GM_ONE) - half_z;
    float error = (gm_float(GM_ONE) - w) - half_z;
    return w + (error + (z * (z * p) - angle.hi * angle.lo));
}

/* The sine of the angle turned back by its quadrant. */
GM_FN float gm_sin_angle(GM_STRUCT(gm_angle) angle)
{
    float y = (angle.quadrant & 1u) != 0u ? gm_cos_near(angle) : gm_sin_near(angle);
    return gm_flush(gm_float(gm_bits(y) ^ ((angle.quadrant & 2u) << 30)));
}

/* sin x, 1 ULP. inf, NaN and |x| >= 2^31 give NaN. */
GM_FN float gm_sin(float x)
{
    uint u = gm_bits(gm_flush(x));
    float y = gm_sin_angle(gm_angle_of(gm_float(u)));
    return gm_float((u & GM_ABS) >= 0x4f000000u ? GM_NAN
                                                : gm_bits(y) ^ (gm_bits(y) == 0u ? 0u : u & GM_SIGN));
}

/* cos x, 1 ULP. inf, NaN and |x| >= 2^31 give NaN. */
GM_FN float gm_cos(float x)
{
    uint u = gm_bits(gm_flush(x));
    GM_STRUCT(gm_angle) angle = gm_angle_of(gm_float(u));
    angle.quadrant = angle.quadrant + 1u;
    float y = gm_sin_angle(angle);
    return gm_float((u & GM_ABS) >= 0x4f000000u ? GM_NAN : gm_bits(y));
}

#endif
