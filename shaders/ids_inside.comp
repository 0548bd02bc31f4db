/* flag[0] = 1 where an id is not in [0, period). ids [count]. All lanes that write, write the same. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, uint, ids);
WRITES(1, uint, flag);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i < count && ids[at0 + i] >= period)
        flag[at1] = 1u;
}
