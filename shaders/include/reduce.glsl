/* Row reductions by a group of 64 lanes, in the one order that golden numerics have: the caller's lane has added its
 * elements i = lane, lane + 64, ... ascending; here lane l takes lane l + h for h = 32, 16, 8, 4, 2, 1. */
#ifndef SHADERS_REDUCE_GLSL
#define SHADERS_REDUCE_GLSL

layout(local_size_x = 64) in;

#define LANES 64u
/* Below every score: where a maximum starts. */
#define LOWEST gm_float(0xff7fffffu)

shared float reduce_lanes[LANES];

/* The sum over all lanes, in every lane. */
float row_sum(float x)
{
    reduce_lanes[LANE] = x;
    barrier();
    for (uint h = 32u; h > 0u; h >>= 1) {
        if (LANE < h)
            reduce_lanes[LANE] = reduce_lanes[LANE] + reduce_lanes[LANE + h];
        barrier();
    }
    float result = reduce_lanes[0];
    barrier();
    return result;
}

/* The largest over all lanes, in every lane. */
float row_max(float x)
{
    reduce_lanes[LANE] = x;
    barrier();
    for (uint h = 32u; h > 0u; h >>= 1) {
        if (LANE < h)
            reduce_lanes[LANE] = gm_max(reduce_lanes[LANE], reduce_lanes[LANE + h]);
        barrier();
    }
    float result = reduce_lanes[0];
    barrier();
    return result;
}

#endif
