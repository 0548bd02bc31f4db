/* dw[c] = sum over t of ((x[t][c] - m[t]) * r[t]) * dy[t][c]. x, dy [rows, columns], m, r [rows] -> dw [columns]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
READS(1, float, m);
READS(2, float, r);
READS(3, float, dy);
WRITES(4, float, dw);

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
            float h = gm_flush(gm_flush(x[at0 + t * columns + c] - m[at1 + t]) * r[at2 + t]);
            s = s + h * dy[at3 + t * columns + c];
        }
        total = total + s;
    }
    dw[at4 + c] = gm_flush(total);
}
