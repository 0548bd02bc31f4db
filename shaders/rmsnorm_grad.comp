/* dx = r * g - x * (mean of g * x) * r^3 with g = dy * w. x, dy, dx [rows, columns], w [columns], r [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
READS(1, float, w);
READS(2, float, r);
READS(3, float, dy);
WRITES(4, float, dx);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = row * columns;
    float s = gm_float(0u), scale = r[at2 + row];
    for (uint c = LANE; c < columns; c += LANES)
        s = s + gm_flush(dy[at3 + at + c] * w[at1 + c]) * x[at0 + at + c];
    float k = gm_flush(gm_flush(row_sum(s)) * reciprocal);
    k = gm_flush(gm_flush(k * scale) * gm_flush(scale * scale));
    for (uint c = LANE; c < columns; c += LANES) {
        float g = gm_flush(dy[at3 + at + c] * w[at1 + c]);
        dx[at4 + at + c] = gm_flush(scale * g - x[at0 + at + c] * k);
    }
}
