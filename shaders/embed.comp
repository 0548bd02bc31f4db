/* y[t] = table[ids[t]], of the ids whose row is bound. table [length, columns], of which `held` rows from `first` on are
 * bound, ids [rows] -> y [rows, columns]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, table);
READS(1, uint, ids);
WRITES(2, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= rows * columns)
        return;
    uint row = smaller(ids[at1 + i / columns], length - 1u) - first;
    if (row >= held)
        return;
    y[at2 + i] = table[at0 + row * columns + i % columns];
}
