/* Cosine of two rows, 0 where either is 0. a, b [rows, columns] -> y [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, a);
READS(1, float, b);
WRITES(2, float, y);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = row * columns;
    float ab = gm_float(0u), aa = gm_float(0u), bb = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES) {
        float u = a[at0 + at + c], v = b[at1 + at + c];
        ab = ab + u * v;
        aa = aa + u * u;
        bb = bb + v * v;
    }
    ab = gm_flush(row_sum(ab));
    aa = gm_flush(row_sum(aa));
    bb = gm_flush(row_sum(bb));
    float cosine = gm_flush(gm_flush(ab * gm_flush(gm_rsqrt(aa))) * gm_flush(gm_rsqrt(bb)));
    if (LANE == 0u)
        y[at2 + row] = aa == gm_float(0u) || bb == gm_float(0u) ? gm_float(0u) : cosine;
}
