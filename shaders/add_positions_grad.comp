/* table[start + s] = sum over b of dy[b][s], other rows 0. dy of `skip` sequences of `period` elements, `first` elements of the
 * table before the first position; table [count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, dy);
WRITES(1, float, table);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    float total = gm_float(0u);
    if (i >= first && i - first < period)
        for (uint block = 0u; block < skip; block += BLOCK) {
            uint end = smaller(block + BLOCK, skip);
            float s = gm_float(0u);
            for (uint b = block; b < end; b++)
                s = s + dy[at0 + b * period + (i - first)];
            total = total + s;
        }
    table[at1 + i] = gm_flush(total);
}
