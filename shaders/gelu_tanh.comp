/* y = x * (0.5 + 0.5 * tanh(sqrt(2/pi) * (x + 0.044715 * x^3))). x, y [count]. */
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
    float half_of = gm_float(0x3f000000u), one = gm_float(GM_ONE); /* 0.5 */
    float q = gm_min(gm_flush(v * v), gm_float(0x45800000u));      /* 4096 */
    float u = gm_flush(v * gm_float(0x3f4c422au));                 /* sqrt(2/pi) */
    float t = gm_flush(gm_tanh(gm_flush(u * gm_flush(one + q * gm_float(0x3d372713u))))); /* 0.044715 */
    y[at1 + i] = gm_flush(v * gm_flush(half_of + half_of * t));
}
