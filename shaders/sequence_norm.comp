/* L2 norm over a sequence. x [b, rows, columns] -> y [b, columns]; length = b * columns. */
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
    if (i >= length)
        return;
    uint at = at0 + i / columns * rows * columns + i % columns;
    float total = gm_float(0u);
    for (uint block = 0u; block < rows; block += BLOCK) {
        uint end = smaller(block + BLOCK, rows);
        float s = gm_float(0u);
        for (uint t = block; t < end; t++) {
            float v = x[at + t * columns];
            s = s + v * v;
        }
        total = total + s;
    }
    y[at1 + i] = gm_flush(gm_sqrt(total));
}
