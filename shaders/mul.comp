/* y[i] = a[i] * b[i]. a, b, y [count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, a);
READS(1, float, b);
WRITES(2, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    y[at2 + i] = gm_flush(a[at0 + i] * b[at1 + i]);
}
