/* dx = dy * (0.5 + 0.5 * erf(z) + x * exp(-z * z) / sqrt(2 pi)), z = x * sqrt(1/2). x, dy, dx [count]. */
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
    float half_of = gm_float(0x3f000000u);                 /* 0.5 */
    float z = gm_flush(v * gm_float(0x3f3504f3u));         /* sqrt(1/2) */
    float t = gm_flush(gm_erf(z));
    float e = gm_flush(gm_exp(gm_float(0u) - gm_flush(z * z)));
    float slope = gm_flush(v * gm_flush(e * gm_float(0x3ecc422au))); /* 1/sqrt(2 pi) */
    dx[at2 + i] = gm_flush(dy[at1 + i] * gm_flush(gm_flush(half_of + half_of * t) + slope));
}
