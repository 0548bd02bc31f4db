/* Chains equal ids: next[t] is the next t that has the same id, or rows; bit 31 is set where an earlier one has it.
 * ids [rows] -> next [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, uint, ids);
WRITES(1, uint, next);

void main()
{
    uint t = GROUP * 64u + LANE;
    if (t >= rows)
        return;
    uint id = ids[at0 + t], after = t + 1u, before = 0u;
    while (after < rows && ids[at0 + after] != id)
        after++;
    while (ids[at0 + before] != id)
        before++;
    next[at1 + t] = after | (before < t ? 0x80000000u : 0u);
}
