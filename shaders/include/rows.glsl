/* Sums over rows, of which a group has one, an element a lane, or eight, with eight lanes each that have four neighbours
 * at a time: processors load four as soon as one, have few lanes at a time, and find barriers dear. */
#ifndef SHADERS_ROWS_GLSL
#define SHADERS_ROWS_GLSL

#include "shaders/include/constants.h"
#include "shaders/include/reduce.glsl"

layout(constant_id = NORM_QUADS) const uint QUADS = 0u; /* not 0: eight rows a group; everything lies at multiples of four */
layout(constant_id = NORM_ADDEND) const uint HAS_ADDEND = 0u;

#define QUAD (4u * (LANE % 8u)) /* the first of a lane's neighbours, in each 32 elements */

shared vec4 reduce_quads[LANES];

uint row; /* of this lane; a lane beyond the last row computes that again, and stores nothing */
bool is_row;

/* Finds the lane's row; false for a group beyond the last. */
bool find_row(uint rows)
{
    uint each = QUADS != 0u ? 8u : 1u;
    row = GROUP * each + (QUADS != 0u ? LANE / 8u : 0u);
    is_row = row < rows;
    row = smaller(row, rows - 1u);
    return GROUP * each < rows;
}

/* The row's sum in every lane. `low` and `high` are those of lanes QUAD .. QUAD + 3, and of the 32 above, of the 64 that
 * golden numerics have (reduce.glsl). */
float quad_sum(vec4 low, vec4 high)
{
    vec4 folded[8];
    reduce_quads[LANE] = low + high;
    barrier();
    for (uint q = 0u; q < 8u; q++)
        folded[q] = reduce_quads[LANE / 8u * 8u + q];
    barrier();
    for (uint q = 0u; q < 4u; q++)
        folded[q] = folded[q] + folded[q + 4u];
    for (uint q = 0u; q < 2u; q++)
        folded[q] = folded[q] + folded[q + 2u];
    vec4 all = folded[0] + folded[1];
    return (all.x + all.z) + (all.y + all.w);
}

/* float result = the sum over the row's elements c of `term`. */
#define SUM_ROW(result, c, columns, term)               \
    float result##_lane = gm_float(0u);                 \
    for (uint c = LANE; c < columns; c += LANES)        \
        result##_lane = result##_lane + term;           \
    float result = row_sum(result##_lane);

/* The same of quads, of which c is the first element. */
#define SUM_ROW_QUADS(result, c, columns, term)                 \
    vec4 result##_low = vec4(gm_float(0u));                     \
    vec4 result##_high = vec4(gm_float(0u));                    \
    for (uint block = QUAD; block < columns; block += 64u) {    \
        uint c = block;                                         \
        result##_low = result##_low + term;                     \
        c = block + 32u;                                        \
        if (c < columns)                                        \
            result##_high = result##_high + term;               \
    }                                                           \
    float result = quad_sum(result##_low, result##_high);

/* What is added to a result [rows, columns]: bound at `place`. `element` is that of the result, the first of
 * four. Values get flushed. */
#define ADDEND(place)                                                          \
    READS(place, float, z);                                                    \
    READS_QUADS(place, z4);                                                    \
    float with_addend(float value, uint element)                               \
    {                                                                          \
        value = gm_flush(value);                                               \
        return HAS_ADDEND != 0u ? gm_flush(value + z[at##place + element]) : value; \
    }                                                                          \
    vec4 with_addend(vec4 value, uint element)                                 \
    {                                                                          \
        value = flush_quad(value);                                             \
        return HAS_ADDEND != 0u ? flush_quad(value + z4[(at##place + element) / 4u]) : value; \
    }

#define FOR_ROW(c, columns) for (uint c = LANE; c < columns; c += LANES)
#define FOR_ROW_QUADS(c, columns) for (uint c = QUAD; c < columns && is_row; c += 32u)

#endif
