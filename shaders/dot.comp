/* Sum of products of all elements, or of `columns` of them: first is 1 where earlier launches have left their sums in
 * `lanes`, held is 1 where later ones go on with them. a, b [columns], lanes [64] -> y [1]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, a);
READS(1, float, b);
layout(std430, binding = 2) buffer Lanes { float lanes[]; };
WRITES(3, float, y);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    float s = first != 0u ? lanes[at2 + LANE] : gm_float(0u);
    for (uint i = LANE; i < columns; i += LANES)
        s = s + a[at0 + i] * b[at1 + i];
    if (held != 0u) {
        lanes[at2 + LANE] = s;
        return;
    }
    s = row_sum(s);
    if (LANE == 0u)
        y[at3] = gm_flush(s);
}
