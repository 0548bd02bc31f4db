/* y = x * (0.5 + 0.5 * erf(x * sqrt(1/2))). x, y [count]. */
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
    float half_of = gm_float(0x3f000000u);                             /* 0.5 */
    float t = gm_flush(gm_erf(gm_flush(v * gm_float(0x3f3504f3u)))); /* sqrt(1/2) */
    y[at1 + i] = gm_flush(v * gm_flush(half_of + half_of * t));
}
