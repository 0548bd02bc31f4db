/* Row reductions by a group of 64 lanes, in the one order that golden numerics have: the caller's lane has added its
 * elements i = lane, lane + 64, ... ascending; here lane l takes lane l + h for h = 32, 16, 8, 4, 2, 1. */
#ifndef SHADERS_REDUCE_GLSL
#define SHADERS_REDUCE_GLSL

layout(local_size_x = 64) in;

#define LANES 64u
/* Below every score: where a maximum starts. */

shared float reduce_lanes[LANES];

/* What every lane gets: lanes 0 to 7 fold h = 32, 16, 8 in registers, then each lane folds what is left for itself, so that
 * there are three barriers and not one for each h. */
#define FOLD(x, combine)                                                                                     \
    float folded[8];                                                                                         \
    reduce_lanes[LANE] = x;                                                                                  \
    barrier();                                                                                               \
    if (LANE < 8u) {                                                                                         \
        for (uint q = 0u; q < 8u; q++)                                                                       \
            folded[q] = reduce_lanes[LANE + 8u * q];                                                         \
        for (uint q = 0u; q < 4u; q++)                                                                       \
            folded[q] = combine(folded[q], folded[q + 4u]);                                                  \
        for (uint q = 0u; q < 2u; q++)                                                                       \
            folded[q] = combine(folded[q], folded[q + 2u]);                                                  \
        reduce_lanes[LANE] = combine(folded[0], folded[1]);                                                  \
    }                                                                                                        \
    barrier();                                                                                               \
    for (uint q = 0u; q < 8u; q++)                                                                           \
        folded[q] = reduce_lanes[q];                                                                         \
    for (uint q = 0u; q < 4u; q++)                                                                           \
        folded[q] = combine(folded[q], folded[q + 4u]);                                                      \
    for (uint q = 0u; q < 2u; q++)                                                                           \
        folded[q] = combine(folded[q], folded[q + 2u]);                                                      \
    barrier();                                                                                               \
    return combine(folded[0], folded[1]);

float add_two(float a, float b)
{
    return a + b;
}

/* The sum over all lanes, in every lane. */
float row_sum(float x)
{
    FOLD(x, add_two)
}

/* The largest over all lanes, in every lane. */
float row_max(float x)
{
    FOLD(x, gm_max)
}

#endif
