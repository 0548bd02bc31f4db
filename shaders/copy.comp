/* y[i] = x[i], bits as they are. x, y [count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, uint, x);
WRITES(1, uint, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    y[at1 + i] = x[at0 + i];
}
