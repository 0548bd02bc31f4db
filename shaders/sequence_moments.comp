/* Mean and variance over a sequence. x [b, rows, columns] -> mean, variance [b, columns]; length = b * columns. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
WRITES(1, float, mean);
WRITES(2, float, variance);

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
        for (uint t = block; t < end; t++)
            s = s + x[at + t * columns];
        total = total + s;
    }
    float m = gm_flush(gm_flush(total) * reciprocal);
    mean[at1 + i] = m;
    total = gm_float(0u);
    for (uint block = 0u; block < rows; block += BLOCK) {
        uint end = smaller(block + BLOCK, rows);
        float s = gm_float(0u);
        for (uint t = block; t < end; t++) {
            float d = gm_flush(x[at + t * columns] - m);
            s = s + d * d;
        }
        total = total + s;
    }
    variance[at2 + i] = gm_flush(gm_flush(total) * reciprocal);
}
