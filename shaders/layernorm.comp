/* m[t] = mean of x; r[t] = rsqrt(mean of (x - m)^2 + epsilon); y = ((x - m) * r) * w.
 * x, y [rows, columns], w [columns], m, r [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
READS(1, float, w);
WRITES(2, float, y);
WRITES(3, float, m);
WRITES(4, float, r);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = at0 + row * columns;
    float s = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES)
        s = s + x[at + c];
    float mean = gm_flush(gm_flush(row_sum(s)) * reciprocal);
    s = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES) {
        float z = gm_flush(x[at + c] - mean);
        s = s + z * z;
    }
    float scale = gm_flush(gm_rsqrt(row_sum(s) * reciprocal + epsilon));
    for (uint c = LANE; c < columns; c += LANES) {
        float z = gm_flush(x[at + c] - mean);
        y[at2 + row * columns + c] = gm_flush(gm_flush(z * scale) * w[at1 + c]);
    }
    if (LANE == 0u) {
        m[at3 + row] = mean;
        r[at4 + row] = scale;
    }
}
