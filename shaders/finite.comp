/* flag[0] = 1 where an element of x is infinite or NaN. x [count]. All lanes that write, write the same. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
WRITES(1, uint, flag);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i < count && !gm_is_finite(x[at0 + i]))
        flag[at1] = 1u;
}
