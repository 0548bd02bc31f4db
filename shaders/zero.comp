/* y[i] = 0. y [count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
WRITES(0, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    y[at0 + i] = gm_float(0u);
}
