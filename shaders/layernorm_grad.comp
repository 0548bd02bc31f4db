/* dx = r * (g - mean of g - h * (mean of g * h)) with h = (x - m) * r and g = dy * w.
 * x, dy, dx [rows, columns], w [columns], m, r [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
READS(1, float, w);
READS(2, float, m);
READS(3, float, r);
READS(4, float, dy);
WRITES(5, float, dx);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = row * columns;
    float mean = m[at2 + row], scale = r[at3 + row], sum = gm_float(0u), product = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES) {
        float h = gm_flush(gm_flush(x[at0 + at + c] - mean) * scale);
        float g = gm_flush(dy[at4 + at + c] * w[at1 + c]);
        sum = sum + g;
        product = product + g * h;
    }
    float a = gm_flush(gm_flush(row_sum(sum)) * reciprocal);
    float k = gm_flush(gm_flush(row_sum(product)) * reciprocal);
    for (uint c = LANE; c < columns; c += LANES) {
        float h = gm_flush(gm_flush(x[at0 + at + c] - mean) * scale);
        float g = gm_flush(dy[at4 + at + c] * w[at1 + c]);
        dx[at5 + at + c] = gm_flush(scale * gm_flush(gm_flush(g - a) - h * k));
    }
}
