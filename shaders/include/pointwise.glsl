/* What element-wise ops do to an element (ir/ops.def has the formulas); each is stored, and so flushed. */
#ifndef SHADERS_POINTWISE_GLSL
#define SHADERS_POINTWISE_GLSL

#include "shaders/scalar/scalar.h"

#define HALF gm_float(0x3f000000u)        /* 0.5 */
#define ROOT_HALF gm_float(0x3f3504f3u)   /* sqrt(1/2) */
#define ROOT_2_PI gm_float(0x3f4c422au)   /* sqrt(2/pi) */
#define NORMAL_PEAK gm_float(0x3ecc422au) /* 1/sqrt(2 pi) */
#define CUBIC gm_float(0x3d372713u)       /* 0.044715 */
#define CUBIC_SLOPE gm_float(0x3e095d4fu) /* 3 * 0.044715 */
#define MOST_SQUARE gm_float(0x45800000u) /* 4096: far beyond where the tangent is 1 */
#define ONE gm_float(GM_ONE)

float square(float x)
{
    return gm_min(gm_flush(x * x), MOST_SQUARE);
}

/* The curve that an op and its gradient share: a sigmoid, an error function or a hyperbolic tangent. */
float curve_of(uint op, float x)
{
    if (op == CHAIN_silu || op == CHAIN_silu_grad)
        return gm_flush(gm_sigmoid(x));
    if (op == CHAIN_gelu || op == CHAIN_gelu_grad)
        return gm_flush(gm_erf(gm_flush(x * ROOT_HALF)));
    if (op >= CHAIN_tanh_grad) /* has none */
        return x;
    if (op != CHAIN_tanh)
        x = gm_flush(gm_flush(x * ROOT_2_PI) * gm_flush(ONE + square(x) * CUBIC));
    return gm_flush(gm_tanh(x));
}

float silu_slope(float x, float s)
{
    return gm_flush(s * gm_flush(ONE + x * (ONE - s)));
}

float gelu_slope(float x, float t)
{
    float z = gm_flush(x * ROOT_HALF);
    float e = gm_flush(gm_exp(gm_float(0u) - gm_flush(z * z)));
    return gm_flush(gm_flush(HALF + HALF * t) + gm_flush(x * gm_flush(e * NORMAL_PEAK)));
}

float gelu_tanh_slope(float x, float t)
{
    float inner = gm_flush(gm_flush(ONE + square(x) * CUBIC_SLOPE) * ROOT_2_PI);
    float bend = gm_flush(gm_flush(gm_flush(x * gm_flush(ONE - t * t)) * HALF) * inner);
    return gm_flush(gm_flush(HALF + HALF * t) + bend);
}

#endif
