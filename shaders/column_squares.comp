/* y[c] = sum over t of x[t][c]^2. x [rows, columns] -> y [columns]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
WRITES(1, float, y);

void main()
{
    uint c = GROUP * 64u + LANE;
    if (c >= columns)
        return;
    float total = gm_float(0u);
    for (uint block = 0u; block < rows; block += BLOCK) {
        uint end = smaller(block + BLOCK, rows);
        float s = gm_float(0u);
        for (uint t = block; t < end; t++) {
            float v = x[at0 + t * columns + c];
            s = s + v * v;
        }
        total = total + s;
    }
    y[at1 + c] = gm_flush(total);
}
