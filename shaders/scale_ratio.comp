/* y[i] = x[i] * (a / b), 0 where b is 0. x, y [count], a, b [1]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
READS(1, float, a);
READS(2, float, b);
WRITES(3, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    float ratio = b[at2] == gm_float(0u) ? gm_float(0u) : gm_flush(gm_div(a[at1], b[at2]));
    y[at3 + i] = gm_flush(x[at0 + i] * ratio);
}
