/* What every kernel sees: the scalar functions, how buffers are declared and which group this is.
 * A tensor is a range of a bound buffer that starts at element at0, at1, ... of its binding. */
#ifndef SHADERS_KERNEL_GLSL
#define SHADERS_KERNEL_GLSL

#include "shaders/scalar/scalar.h"

#define READS(place, type, name) layout(std430, binding = place) readonly buffer Reads##name { type name[]; }
#define WRITES(place, type, name) layout(std430, binding = place) writeonly buffer Writes##name { type name[]; }

/* The same buffer by four neighbours, for tensors that start at a multiple of four. */
#define READS_QUADS(place, name) layout(std430, binding = place) readonly buffer Quads##name { vec4 name[]; }
#define WRITES_QUADS(place, name) layout(std430, binding = place) writeonly buffer Quads##name { vec4 name[]; }

/* Groups are numbered along two axes, since one holds only 65535. */
#define GROUP (first_group + gl_WorkGroupID.y * 32768u + gl_WorkGroupID.x)
#define LANE gl_LocalInvocationID.x

/* Products are summed in blocks of this many terms. */
#define BLOCK 512u

/* Below every score: where a maximum starts. */
#define LOWEST gm_float(0xff7fffffu)

vec4 flush_quad(vec4 x)
{
    return vec4(gm_flush(x.x), gm_flush(x.y), gm_flush(x.z), gm_flush(x.w));
}

uint smaller(uint a, uint b)
{
    return a < b ? a : b;
}

#endif
