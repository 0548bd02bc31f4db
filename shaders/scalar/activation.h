/* Activation functions, from the exponential and one division. All give canonical numbers. */
#ifndef SHADERS_SCALAR_ACTIVATION_H
#define SHADERS_SCALAR_ACTIVATION_H

#include "shaders/scalar/bits.h"
#include "shaders/scalar/explog.h"
#include "shaders/scalar/root.h"

/* 1 / (1 + e^-x), 2.4 ULP. It is +0 where e^x is, from x < -35.3505058 on. */
GM_FN float gm_sigmoid(float x)
{
    float e = gm_exp(gm_float(gm_bits(x) | GM_SIGN)); /* e^-|x|, at most 1 */
    float y = gm_div_normal(gm_bits(x) >= GM_SIGN ? e : gm_float(GM_ONE), gm_float(GM_ONE) + e);
    return gm_float(gm_is_nan(x) ? GM_NAN : gm_bits(y));
}

/* x / (1 + e^-x), 3 ULP. */
GM_FN float gm_silu(float x)
{
    float y = x * gm_sigmoid(x);
    return gm_float(gm_bits(x) == 0xff800000u ? 0u : gm_bits(gm_flush(y)));
}

/* tanh x, 1.4 ULP. */
GM_FN float gm_tanh(float x)
{
    x = gm_flush(x);
    uint sign = gm_bits(x) & GM_SIGN;
    float a = gm_abs(x);
    float z = gm_flush(a * a);
    float p = gm_float(0x3b0f2f16u);   /* 2.18481338e-3 */
    p = p * z + gm_float(0xbc06b1bfu); /* -8.22108891e-3 */
    p = p * z + gm_float(0x3cb1e90eu); /* 2.17175744e-2 */
    p = p * z + gm_float(0xbd5cfa5du); /* -5.39497025e-2 */
    p = p * z + gm_float(0x3e088842u); /* 1.33332282e-1 */
    p = p * z + gm_float(0xbeaaaaaau); /* -3.33333313e-1 */
    float small = a + a * (z * p);
    /* Cut at 32: from there on tanh is 1, and 2 / e stays normal. */
    float e = gm_exp(gm_float(gm_choose(a < gm_float(0x42000000u), gm_bits(a + a), 0x42800000u)));
    float large = gm_float(GM_ONE) - gm_div_normal(gm_float(0x40000000u), e + gm_float(GM_ONE)); /* 2 */
    uint y = gm_choose(a < gm_float(0x3f19999au), gm_bits(small), gm_bits(large));               /* 0.6 */
    return gm_float(gm_choose(gm_is_nan(x), GM_NAN, y | sign));
}

/* The error function, 1.3 ULP: a polynomial below 1, 1 - e^-Q(|x|) above. */
GM_FN float gm_erf(float x)
{
    x = gm_flush(x);
    uint sign = gm_bits(x) & GM_SIGN;
    float a = gm_abs(x);
    float z = gm_flush(a * a);
    float p = gm_float(0x38a38080u);   /* 7.79638067e-5 */
    p = p * z + gm_float(0xba519522u); /* -7.99493981e-4 */
    p = p * z + gm_float(0x3ba9f6b4u); /* 5.18688001e-3 */
    p = p * z + gm_float(0xbcdbfb51u); /* -2.68532354e-2 */
    p = p * z + gm_float(0x3de71671u); /* 1.12835772e-1 */
    p = p * z + gm_float(0xbec0939fu); /* -3.7612626e-1 */
    p = p * z + gm_float(0x3e0375d4u); /* 1.28379166e-1 */
    float small = a + a * p;
    float q = gm_float(0x36748354u);   /* 3.64352763e-6 */
    q = q * a + gm_float(0xb7f79dfeu); /* -2.95182654e-5 */
    q = q * a + gm_float(0xb90b93abu); /* -1.33110836e-4 */
    q = q * a + gm_float(0x3b4f7e09u); /* 3.16608162e-3 */
    q = q * a + gm_float(0xbcbcf33du); /* -2.30652038e-2 */
    q = q * a + gm_float(0x3dd85b83u); /* 1.05643295e-1 */
    q = q * a + gm_float(0x3f22ab22u); /* 6.35423779e-1 */
    q = q * a + gm_float(0x3f9075dau); /* 1.12859654 */
    float large = gm_float(GM_ONE) - gm_exp(gm_float(gm_bits(q * a) ^ GM_SIGN));
    uint y = gm_choose(a < gm_float(0x40800000u), gm_bits(large), GM_ONE); /* 4 */
    y = gm_choose(a < gm_float(GM_ONE), gm_bits(small), y);
    return gm_float(gm_choose(gm_is_nan(x), GM_NAN, y | sign));
}

#endif
