/* Sums and products that keep their rounding errors: a pair is hi + lo with hi the rounded sum. Twice the
 * precision, for the few places where a float is not enough (powers, reduction of angles). Dekker 1971, Knuth
 * TAOCP 2, 4.2.2. Callers keep hi away from the ends of the range, so that the low parts are normal numbers.
 */
#ifndef SHADERS_SCALAR_PAIR_H
#define SHADERS_SCALAR_PAIR_H

#include "shaders/scalar/bits.h"

struct gm_pair {
    float hi;
    float lo;
};

/* a + b exactly, where a is 0 or |a| >= |b|. */
GM_FN GM_STRUCT(gm_pair) gm_pair_sum_ordered(float a, float b)
{
    GM_STRUCT(gm_pair) sum;
    sum.hi = a + b;
    sum.lo = b - (sum.hi - a);
    return sum;
}

/* a + b exactly. */
GM_FN GM_STRUCT(gm_pair) gm_pair_sum(float a, float b)
{
    GM_STRUCT(gm_pair) sum;
    sum.hi = a + b;
    float part = sum.hi - a;
    sum.lo = (a - (sum.hi - part)) + (b - part);
    return sum;
}

/* a * b exactly: both are cut into two halves of at most 12 bits, whose products are exact. */
GM_FN GM_STRUCT(gm_pair) gm_pair_product(float a, float b)
{
    float a1 = gm_float(gm_bits(a) & 0xfffff000u);
    float b1 = gm_float(gm_bits(b) & 0xfffff000u);
    float a0 = a - a1;
    float b0 = b - b1;
    GM_STRUCT(gm_pair) product;
    product.hi = a * b;
    product.lo = (((a1 * b1 - product.hi) + a1 * b0) + a0 * b1) + a0 * b0;
    return product;
}

/* x * y with a relative error of a few 2^-47. */
GM_FN GM_STRUCT(gm_pair) gm_pair_multiply(GM_STRUCT(gm_pair) x, GM_STRUCT(gm_pair) y)
{
    GM_STRUCT(gm_pair) product = gm_pair_product(x.hi, y.hi);
    return gm_pair_sum_ordered(product.hi, product.lo + (x.hi * y.lo + x.lo * y.hi));
}

#endif
