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
layout(constant_id = 6) const uint LOADS = 0u;
layout(constant_id = 7) const uint STORES = 0u; /* for each result 4 bits: its register plus one; 0: there is none */

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
SOURCE(5, x5, u5);
TARGET(6, y6, v6);
TARGET(7, y7, v7);
TARGET(8, y8, v8);

vec4 r[CHAIN_INPUTS + CHAIN_STEPS];
uint element; /* the first of this lane's */
bool is_whole; /* can four be loaded and stored at once? */

/* Element i of this lane's, or the last one there is. */
uint at_most(uint i)
{
    return smaller(element + i, count - 1u);
}

#define LOAD(i)                                                                                                      \
    {                                                                                                                \
        uint how = LOADS >> (2u * uint(i)) & 3u;                                                                        \
        if (how == CHAIN_LOAD_EACH)                                                                                  \
            r[i] = is_whole ? u##i[(at##i + element) / 4u]                                                           \
                            : vec4(x##i[at##i + element], x##i[at##i + at_most(1u)], x##i[at##i + at_most(2u)],      \
                                   x##i[at##i + at_most(3u)]);                                                       \
        if (how == CHAIN_LOAD_REPEATED)                                                                              \
            r[i] = is_whole ? u##i[(at##i + element % period##i) / 4u]                                               \
                            : vec4(x##i[at##i + element % period##i], x##i[at##i + at_most(1u) % period##i],         \
                                   x##i[at##i + at_most(2u) % period##i], x##i[at##i + at_most(3u) % period##i]);    \
    }

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
    switch (op) {
    case CHAIN_add:
        return gm_flush(a + b);
    case CHAIN_mul:
        return gm_flush(a * b);
    case CHAIN_scale:
        return gm_flush(a * factor);
    case CHAIN_silu:
        return silu(a);
    case CHAIN_silu_grad:
        return silu_grad(a, b);
    case CHAIN_relu:
        return relu_grad(a, a);
    case CHAIN_relu_grad:
        return relu_grad(a, b);
    case CHAIN_gelu:
        return gelu(a);
    case CHAIN_gelu_grad:
        return gelu_grad(a, b);
    case CHAIN_gelu_tanh:
        return gelu_tanh(a);
    case CHAIN_gelu_tanh_grad:
        return gelu_tanh_grad(a, b);
    case CHAIN_tanh:
        return gm_flush(gm_tanh(a));
    default:
        return tanh_grad(a, b);
    }
}

#define TAKE(i)                                                                                                 \
    if (STEP##i != 0u)                                                                                          \
        for (uint e = 0u; e < 4u; e++)                                                                          \
            r[CHAIN_INPUTS + i][e] =                                                                            \
                apply(STEP##i & 255u, r[STEP##i >> 8 & 15u][e], r[STEP##i >> 12 & 15u][e], factor##i);

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
    LOAD(5)
    TAKE(0)
    TAKE(1)
    TAKE(2)
    TAKE(3)
    TAKE(4)
    TAKE(5)
    STORE(0, 6)
    STORE(1, 7)
    STORE(2, 8)
}
