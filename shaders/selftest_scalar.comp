// Evaluates every function of the scalar self-test (selftest_scalar.h): invocation (i, f) writes
// results[f * count + i] = gm_selftest(f, first + i). Dispatch (count / 64, GM_SELFTEST_FUNCTIONS, 1) groups.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/selftest_scalar.h"

layout(local_size_x = 64) in;
layout(push_constant) uniform Push
{
    uint first;
    uint count; // a multiple of 64
};
layout(std430, set = 0, binding = 0) writeonly buffer Results
{
    uint results[];
};

void main()
{
    uint i = gl_GlobalInvocationID.x;
    uint f = gl_WorkGroupID.y;
    results[f * count + i] = gm_selftest(f, first + i);
}
