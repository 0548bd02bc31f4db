/* y[i] = x[i / period]. x [count / period], y [count]. */
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
    y[at1 + i] = gm_flush(x[at0 + i / period]);
}
