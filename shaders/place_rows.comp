/* y = base with elements first .. first + period - 1 replaced by part. base, y [>= count], part [period].
 * The lanes start at element skip, so that where y lies over base only the part is written. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, base);
READS(1, float, part);
WRITES(2, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    i = i + skip;
    uint inside = i - first;
    y[at2 + i] = inside < period ? part[at1 + inside] : base[at0 + i];
}
