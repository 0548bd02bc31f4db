/* Attention of a tile of queries, with slopes [n] or without: scores, their maximum m, weights w = exp(score - m), o = (sum of w * v) / (sum of w).
 * q [b, s, n * h], k [b, s, g * h], v [b, s, g * e] -> o [b, s, n * e], stats [b, s, n, 2] = (m, 1 / sum of w). */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/attention.glsl"

READS(0, float, q);
READS(1, float, k);
READS(2, float, v);
WRITES(3, float, o);
WRITES(4, float, stats);
READS(5, float, slopes);

uint query_at[TILE];
float slope;

void scores(uint key, out float x[TILE])
{
    uint own = at1 + at_row(key, groups, kv_head, key_width);
    TILE_DOTS(x, k, own, q, query_at, key_width)
    for (uint f = 0u; f < TILE; f++)
        x[f] = score_of(x[f], slope, tile_row + f, key);
}

void main()
{
    if (!locate(heads))
        return;
    uint keys = causal != 0u ? smaller(tile_row + TILE, sequence) : sequence;
    slope = slopes[at5 + (sloped != 0u ? head : 0u)];
    float x[TILE], top[TILE], sum[TILE];
    for (uint f = 0u; f < TILE; f++) {
        query_at[f] = at0 + at_row(tile_row + f, heads, head, key_width);
        top[f] = LOWEST;
        sum[f] = gm_float(0u);
    }
    for (uint j = walk_start() + LANE; j < keys; j += LANES) {
        scores(j, x);
        for (uint f = 0u; f < TILE; f++)
            top[f] = visible(tile_row + f, j) ? gm_max(top[f], x[f]) : top[f];
    }
    tile_max(top);

    float total[TILE][COLUMNS], s[TILE][COLUMNS];
    clear(total);
    clear(s);
    for (uint j0 = walk_start(); j0 < keys; j0 += LANES) {
        uint j = j0 + LANE;
        scores(j, x);
        for (uint f = 0u; f < TILE; f++) {
            float w = visible(tile_row + f, j) ? gm_flush(gm_exp(x[f] - top[f])) : gm_float(0u);
            sum[f] = sum[f] + w;
            patch_weights[f * LANES + LANE] = w;
        }
        barrier();
        uint count = smaller(LANES, keys - j0), from = at2 + at_row(j0, groups, kv_head, value_width);
        ADD_PATCH(s, v, from, groups * value_width, value_width, count)
        barrier();
        if ((j0 + LANES) % BLOCK == 0u)
            close_block(total, s);
    }
    close_block(total, s);

    tile_sum(sum);
    for (uint f = 0u; f < TILE && tile_row + f < sequence; f++) {
        float z = gm_flush(gm_rcp(sum[f]));
        uint i = tile_row + f, at = at3 + at_row(i, heads, head, value_width);
        for (uint a = 0u; a < COLUMNS; a++)
            if (column(a) < value_width)
                o[at + column(a)] = gm_flush(gm_flush(total[f][a]) * z);
        if (LANE == 0u && chunk == 0u) {
            stats[at4 + at_row(i, heads, head, 2u)] = gm_flush(top[f]);
            stats[at4 + at_row(i, heads, head, 2u) + 1u] = z;
        }
    }
}
