/* Sum of products of all elements. a, b [columns] -> y [1]. */
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
    float s = gm_float(0u);
    for (uint i = LANE; i < columns; i += LANES)
        s = s + a[at0 + i] * b[at1 + i];
    s = row_sum(s);
    if (LANE == 0u)
        y[at2] = gm_flush(s);
}
