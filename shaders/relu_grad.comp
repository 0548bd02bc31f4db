/* dx = dy where x is positive, else 0. x, dy, dx [count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
READS(1, float, dy);
WRITES(2, float, dx);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    float v = x[at0 + i];
    dx[at2 + i] = v > gm_float(0u) ? dy[at1 + i] : gm_float(0u);
}
