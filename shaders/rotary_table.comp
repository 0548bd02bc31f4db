/* y[p][0][j] = cos(p * w[j]), y[p][1][j] = sin(p * w[j]). w [frequencies] -> y [sequence, 2, frequencies]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rotary.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, w);
WRITES(1, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= sequence * frequencies)
        return;
    uint p = i / frequencies, j = i % frequencies, at = at1 + p * 2u * frequencies + j;
    float a = gm_flush(gm_from_uint(p) * w[at0 + j]);
    y[at] = gm_flush(gm_cos(a));
    y[at + frequencies] = gm_flush(gm_sin(a));
}
