/* Sum of all elements, which are not negative; first, held and lanes as in dot.comp. x [columns], lanes [64] -> y [1]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
layout(std430, binding = 1) buffer Lanes { float lanes[]; };
WRITES(2, float, y);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    float s = first != 0u ? lanes[at1 + LANE] : gm_float(0u);
    for (uint i = LANE; i < columns; i += LANES)
        s = s + x[at0 + i];
    if (held != 0u) {
        lanes[at1 + LANE] = s;
        return;
    }
    s = row_sum(s);
    if (LANE == 0u)
        y[at2] = gm_flush_square(s);
}
