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

float silu(float x)
{
    return gm_flush(x * gm_flush(gm_sigmoid(x)));
}

float silu_grad(float x, float dy)
{
    float s = gm_flush(gm_sigmoid(x));
    float slope = gm_flush(s * gm_flush(ONE + x * (ONE - s)));
    return gm_flush(dy * slope);
}

float relu_grad(float x, float dy)
{
    return x > gm_float(0u) ? dy : gm_float(0u);
}

float gelu(float x)
{
    float t = gm_flush(gm_erf(gm_flush(x * ROOT_HALF)));
    return gm_flush(x * gm_flush(HALF + HALF * t));
}

float gelu_grad(float x, float dy)
{
    float z = gm_flush(x * ROOT_HALF), t = gm_flush(gm_erf(z));
    float e = gm_flush(gm_exp(gm_float(0u) - gm_flush(z * z)));
    float slope = gm_flush(x * gm_flush(e * NORMAL_PEAK));
    return gm_flush(dy * gm_flush(gm_flush(HALF + HALF * t) + slope));
}

/* tanh(F(F(x * sqrt(2/pi)) * F(1 + q * 0.044715))), q the square of x */
float gelu_tangent(float x, float q)
{
    return gm_flush(gm_tanh(gm_flush(gm_flush(x * ROOT_2_PI) * gm_flush(ONE + q * CUBIC))));
}

float gelu_tanh(float x)
{
    float t = gelu_tangent(x, gm_min(gm_flush(x * x), MOST_SQUARE));
    return gm_flush(x * gm_flush(HALF + HALF * t));
}

float gelu_tanh_grad(float x, float dy)
{
    float q = gm_min(gm_flush(x * x), MOST_SQUARE), t = gelu_tangent(x, q);
    float inner = gm_flush(gm_flush(ONE + q * CUBIC_SLOPE) * ROOT_2_PI);
    float bend = gm_flush(gm_flush(gm_flush(x * gm_flush(ONE - t * t)) * HALF) * inner);
    return gm_flush(dy * gm_flush(gm_flush(HALF + HALF * t) + bend));
}

float tanh_grad(float y, float dy)
{
    return gm_flush(dy * gm_flush(ONE - y * y));
}

#endif
