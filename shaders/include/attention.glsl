/* What the attention kernels share. A group of 64 lanes works on TILE neighbouring rows of one head of one sequence, the
 * fixed rows, and walks the other side 64 rows at a time, one a lane; forward and for dq the fixed rows are queries and
 * keys are walked, for dk and dv it is the other way round. Weights of a TILE x 64 patch go through shared memory, then
 * lanes change their role and each owns columns of the result. No score is ever stored beyond its patch. */
#ifndef SHADERS_ATTENTION_GLSL
#define SHADERS_ATTENTION_GLSL

#include "shaders/include/reduce.glsl"
#include "shaders/include/score.glsl"

const uint TILE = 8u;
const uint WALK = LANES;
const uint COLUMNS = 2u; /* columns of the result a lane, at most; `chunks` cuts a wider result into several groups */

shared float patch_weights[TILE * LANES];

#include "shaders/include/heads.glsl"

uint column(uint a)
{
    return (chunk * COLUMNS + a) * LANES + LANE;
}

/* result[f] = sum over c of own[own_at + c] * fixed[fixed_at[f] + c], in blocks. */
#define TILE_DOTS(result, own, own_at, fixed, fixed_at, width)                                               \
    for (uint f = 0u; f < TILE; f++)                                                                         \
        result[f] = gm_float(0u);                                                                            \
    for (uint block = 0u; block < width; block += BLOCK) {                                                   \
        uint end = smaller(block + BLOCK, width);                                                            \
        float part[TILE];                                                                                    \
        for (uint f = 0u; f < TILE; f++)                                                                     \
            part[f] = gm_float(0u);                                                                          \
        for (uint c = block; c < end; c++) {                                                                 \
            float mine = own[own_at + c];                                                                    \
            for (uint f = 0u; f < TILE; f++)                                                                 \
                part[f] = part[f] + mine * fixed[fixed_at[f] + c];                                           \
        }                                                                                                    \
        for (uint f = 0u; f < TILE; f++)                                                                     \
            result[f] = result[f] + part[f];                                                                 \
    }

/* s[f][a] += the patch's weights of fixed row f times walked[walked_at + j * stride + column(a)], for `count` rows j. */
#define ADD_PATCH(s, walked, walked_at, stride, width, count)                                                \
    for (uint a = 0u; a < COLUMNS; a++) {                                                                    \
        uint c = column(a);                                                                                  \
        if (c < width)                                                                                       \
            for (uint j = 0u; j < count; j++) {                                                              \
                float mine = walked[walked_at + j * stride + c];                                             \
                for (uint f = 0u; f < TILE; f++)                                                             \
                    s[f][a] = s[f][a] + patch_weights[f * LANES + j] * mine;                                 \
            }                                                                                                \
    }

void clear(out float s[TILE][COLUMNS])
{
    for (uint f = 0u; f < TILE; f++)
        for (uint a = 0u; a < COLUMNS; a++)
            s[f][a] = gm_float(0u);
}

/* The end of a block of 512: total += s, s = 0. */
void close_block(inout float total[TILE][COLUMNS], inout float s[TILE][COLUMNS])
{
    for (uint f = 0u; f < TILE; f++)
        for (uint a = 0u; a < COLUMNS; a++) {
            total[f][a] = total[f][a] + s[f][a];
            s[f][a] = gm_float(0u);
        }
}

/* Row reductions of TILE values at once; every lane gets the results. */
void tile_sum(inout float x[TILE])
{
    for (uint f = 0u; f < TILE; f++)
        patch_weights[f * LANES + LANE] = x[f];
    barrier();
    for (uint h = 32u; h > 0u; h >>= 1) {
        if (LANE < h)
            for (uint f = 0u; f < TILE; f++)
                patch_weights[f * LANES + LANE] =
                    patch_weights[f * LANES + LANE] + patch_weights[f * LANES + LANE + h];
        barrier();
    }
    for (uint f = 0u; f < TILE; f++)
        x[f] = patch_weights[f * LANES];
    barrier();
}

void tile_max(inout float x[TILE])
{
    for (uint f = 0u; f < TILE; f++)
        patch_weights[f * LANES + LANE] = x[f];
    barrier();
    for (uint h = 32u; h > 0u; h >>= 1) {
        if (LANE < h)
            for (uint f = 0u; f < TILE; f++)
                patch_weights[f * LANES + LANE] =
                    gm_max(patch_weights[f * LANES + LANE], patch_weights[f * LANES + LANE + h]);
        barrier();
    }
    for (uint f = 0u; f < TILE; f++)
        x[f] = patch_weights[f * LANES];
    barrier();
}

#endif
