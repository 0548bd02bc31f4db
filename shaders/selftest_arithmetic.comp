/* results[p * count + i] = probe p of operands[3 * i], [3 * i + 1], [3 * i + 2]. operands [3, count] -> [GM_PROBES, count]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"
#include "shaders/selftest_arithmetic.h"

layout(local_size_x = 64) in;
READS(0, float, operands);
WRITES(1, uint, results);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count * GM_PROBES)
        return;
    uint at = at0 + i % count * 3u;
    results[at1 + i] = gm_probe(i / count, operands[at], operands[at + 1u], operands[at + 2u]);
}
