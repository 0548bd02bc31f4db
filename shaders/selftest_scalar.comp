/* Every function of the scalar self-test: results[f * count + i] = gm_selftest(f, first + i).
 * count indices -> [GM_SELFTEST_FUNCTIONS, count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"
#include "shaders/selftest_scalar.h"

layout(local_size_x = 64) in;
WRITES(0, uint, results);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i < count * GM_SELFTEST_FUNCTIONS)
        results[at0 + i] = gm_selftest(i / count, i % count);
}
