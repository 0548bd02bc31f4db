/* Sums of squares of blocks of 4096 elements. x [length] -> y [rows]. */
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
    uint begin = row * 4096u, end = smaller(begin + 4096u, length);
    float s = gm_float(0u);
    for (uint i = begin + LANE; i < end; i += LANES)
        s = s + x[at0 + i] * x[at0 + i];
    s = row_sum(s);
    if (LANE == 0u)
        y[at1 + row] = gm_flush_square(s);
}
