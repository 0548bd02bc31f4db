/* delta[i] = sum over c of o[i][c] * do[i][c], within each head. o, d [rows, columns] -> y [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, o);
READS(1, float, d);
WRITES(2, float, y);

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
            s = s + o[at0 + at + c] * d[at1 + at + c];
        total = total + s;
    }
    y[at2 + i] = gm_flush(total);
}
