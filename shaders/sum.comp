/* Sum of all elements, which are not negative. x [columns] -> y [1]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
WRITES(1, float, y);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    float s = gm_float(0u);
    for (uint i = LANE; i < columns; i += LANES)
        s = s + x[at0 + i];
    s = row_sum(s);
    if (LANE == 0u)
        y[at1] = gm_flush_square(s);
}
