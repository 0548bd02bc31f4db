/* A chain of element-wise ops, each of which works on what is loaded or what a step before it made; constants say which.
 * A lane has four neighbouring elements in registers. Inputs and results [count], inputs that are repeated [period]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/chain.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/pointwise.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint STEP0 = 0u; /* a step: its op, and from bit 8 and 12 on the registers of its operands */
layout(constant_id = 1) const uint STEP1 = 0u;
layout(constant_id = 2) const uint STEP2 = 0u;
layout(constant_id = 3) const uint STEP3 = 0u;
layout(constant_id = 4) const uint STEP4 = 0u;
layout(constant_id = 5) const uint STEP5 = 0u;
layout(constant_id = 6) const uint STEP6 = 0u;
layout(constant_id = 7) const uint LOADS = 0u;
layout(constant_id = 8) const uint STORES = 0u; /* for each result 4 bits: its register plus one; 0: there is none */

#define SOURCE(place, one, four)                                                   \
    layout(std430, binding = place) readonly buffer Ones##place { float one[]; };  \
    layout(std430, binding = place) readonly buffer Fours##place { vec4 four[]; }
#define TARGET(place, one, four)                                                   \
    layout(std430, binding = place) writeonly buffer Ones##place { float one[]; }; \
    layout(std430, binding = place) writeonly buffer Fours##place { vec4 four[]; }

SOURCE(0, x0, u0);
SOURCE(1, x1, u1);
SOURCE(2, x2, u2);
SOURCE(3, x3, u3);
SOURCE(4, x4, u4);
TARGET(5, y5, v5);
TARGET(6, y6, v6);
TARGET(7, y7, v7);

vec4 r[CHAIN_INPUTS + CHAIN_STEPS];
uint element; /* the first of this lane's */
bool is_whole; /* can four be loaded and stored at once? */

/* Where an input has element e; beyond the last, that. */
uint place(uint how, uint e, uint period)
{
    e = smaller(e, count - 1u);
    return how == CHAIN_LOAD_REPEATED ? e % period : e;
}

#define PLACE(i, e) (at##i + place(LOADS >> (2u * uint(i)) & 3u, element + e, period##i))
#define LOAD(i)                                                                                       \
    if ((LOADS >> (2u * uint(i)) & 3u) != 0u)                                                         \
        r[i] = is_whole ? u##i[PLACE(i, 0u) / 4u]                                                     \
                        : vec4(x##i[PLACE(i, 0u)], x##i[PLACE(i, 1u)], x##i[PLACE(i, 2u)], x##i[PLACE(i, 3u)]);

#define STORE(i, place)                                                  \
    {                                                                    \
        uint from = STORES >> (4u * uint(i)) & 15u;                         \
        if (from != 0u && is_whole)                                      \
            v##place[(at##place + element) / 4u] = r[from - 1u];         \
        else if (from != 0u)                                             \
            for (uint e = 0u; e < 4u; e++)                               \
                if (element + e < count)                                 \
                    y##place[at##place + element + e] = r[from - 1u][e]; \
    }

float apply(uint op, float a, float b, float factor)
{
    return gm_flush(op == CHAIN_add ? a + b : a * (op == CHAIN_mul ? b : factor));
}

float apply_curve(uint op, float x, float dy)
{
    float c = curve_of(op, x);
    switch (op) {
    case CHAIN_silu:
        return gm_flush(x * c);
    case CHAIN_silu_grad:
        return gm_flush(dy * silu_slope(x, c));
    case CHAIN_gelu:
    case CHAIN_gelu_tanh:
        return gm_flush(x * gm_flush(HALF + HALF * c));
    case CHAIN_gelu_grad:
        return gm_flush(dy * gelu_slope(x, c));
    case CHAIN_gelu_tanh_grad:
        return gm_flush(dy * gelu_tanh_slope(x, c));
    case CHAIN_tanh_grad: /* of y, the tangent */
        return gm_flush(dy * gm_flush(ONE - x * x));
    case CHAIN_relu:
        return x > gm_float(0u) ? x : gm_float(0u);
    case CHAIN_relu_grad:
        return x > gm_float(0u) ? dy : gm_float(0u);
    default:
        return c;
    }
}

#define OPERAND(i, shift) r[STEP##i >> shift & 15u]
#define TAKE(i)                                                                                       \
    if (STEP##i != 0u)                                                                                \
        for (uint e = 0u; e < 4u; e++)                                                                \
            r[CHAIN_INPUTS + i][e] =                                                                  \
                apply(STEP##i & 255u, OPERAND(i, 8)[e], OPERAND(i, 12)[e], factor##i);
#define TAKE_CURVE(i)                                                                                 \
    if (STEP##i != 0u)                                                                                \
        for (uint e = 0u; e < 4u; e++)                                                                \
            r[CHAIN_INPUTS + i][e] = apply_curve(STEP##i & 255u, OPERAND(i, 8)[e], OPERAND(i, 12)[e]);

void main()
{
    element = (GROUP * 64u + LANE) * 4u;
    if (element >= count)
        return;
    is_whole = LOADS >> 31 != 0u && element + 4u <= count;
    LOAD(0)
    LOAD(1)
    LOAD(2)
    LOAD(3)
    LOAD(4)
    TAKE(0)
    TAKE(1)
    TAKE(2)
    TAKE_CURVE(3)
    TAKE(4)
    TAKE(5)
    TAKE(6)
    STORE(0, 5)
    STORE(1, 6)
    STORE(2, 7)
}
