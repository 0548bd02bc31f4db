/* y[i] = sqrt(sum over c of x[i][c]^2), within each head. x [rows, columns] -> y [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
WRITES(1, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= rows)
        return;
    uint at = i * columns;
    float total = gm_float(0u);
    for (uint block = 0u; block < columns; block += BLOCK) {
        uint end = smaller(block + BLOCK, columns);
        float s = gm_float(0u);
        for (uint c = block; c < end; c++)
            s = s + x[at0 + at + c] * x[at0 + at + c];
        total = total + s;
    }
    y[at1 + i] = gm_flush(gm_sqrt(total));
}
