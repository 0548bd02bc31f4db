/* r[t] = rsqrt(sum over c of x * x / d + epsilon); y = (x * r) * w. x, y [rows, columns], w [columns], r [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
READS(1, float, w);
WRITES(2, float, y);
WRITES(3, float, r);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = at0 + row * columns;
    float s = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES)
        s = s + x[at + c] * x[at + c];
    float scale = gm_flush(gm_rsqrt(row_sum(s) * reciprocal + epsilon));
    for (uint c = LANE; c < columns; c += LANES)
        y[at2 + row * columns + c] = gm_flush(gm_flush(x[at + c] * scale) * w[at1 + c]);
    if (LANE == 0u)
        r[at3 + row] = scale;
}
