/* y[i] = x[i] where it is positive, else 0. x, y [count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
WRITES(1, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    float v = x[at0 + i];
    y[at1 + i] = v > gm_float(0u) ? v : gm_float(0u);
}
