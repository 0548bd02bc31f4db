/* Mean squared error of each row, and its gradient times the weight of the row.
 * a, b, da [rows, columns], weights [rows] -> loss [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, a);
READS(1, float, b);
READS(2, float, weights);
WRITES(3, float, loss);
WRITES(4, float, da);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = row * columns;
    float l = gm_float(0u), twice = reciprocal + reciprocal, weight = weights[at2 + row];
    for (uint c = LANE; c < columns; c += LANES) {
        float e = gm_flush(a[at0 + at + c] - b[at1 + at + c]);
        l = l + e * e;
        da[at4 + at + c] = gm_flush(gm_flush(e * twice) * weight);
    }
    l = row_sum(l);
    if (LANE == 0u)
        loss[at3 + row] = gm_flush(gm_flush(l) * reciprocal);
}
