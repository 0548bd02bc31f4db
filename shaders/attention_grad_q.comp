/* Gradient of attention for a tile of queries: dq = scale * sum over keys of t * k with t = p * (do . v - delta).
 * q, dq [b, s, n * h], k [b, s, g * h], v [b, s, g * e], d = do [b, s, n * e], stats [b, s, n, 2], delta [b, s, n]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/attention.glsl"

READS(0, float, q);
READS(1, float, k);
READS(2, float, v);
READS(3, float, d);
READS(4, float, stats);
READS(5, float, delta);
WRITES(6, float, dq);
READS(7, float, slopes);

void main()
{
    if (!locate(heads))
        return;
    uint keys = causal != 0u ? smaller(tile_row + TILE, sequence) : sequence;
    uint query_at[TILE], d_at[TILE];
    float x[TILE], y[TILE], top[TILE], z[TILE], shift[TILE];
    for (uint f = 0u; f < TILE; f++) {
        uint i = tile_row + f, row = at_row(i, heads, head, 1u);
        query_at[f] = at0 + row * key_width;
        d_at[f] = at3 + row * value_width;
        top[f] = stats[at4 + 2u * row];
        z[f] = stats[at4 + 2u * row + 1u];
        shift[f] = delta[at5 + row];
    }
    float slope = slopes[at7 + (sloped != 0u ? head : 0u)];
    float total[TILE][COLUMNS], s[TILE][COLUMNS];
    clear(total);
    clear(s);
    for (uint j0 = walk_start(); j0 < keys; j0 += LANES) {
        uint j = j0 + LANE, row = at_row(j, groups, kv_head, 1u);
        uint k_at = at1 + row * key_width, v_at = at2 + row * value_width;
        TILE_DOTS(x, k, k_at, q, query_at, key_width)
        TILE_DOTS(y, v, v_at, d, d_at, value_width)
        for (uint f = 0u; f < TILE; f++) {
            float score = score_of(x[f], slope, tile_row + f, j);
            float p = gm_flush(gm_flush(gm_exp(score - top[f])) * z[f]);
            float t = unbend(gm_flush(p * gm_flush(gm_flush(y[f]) - shift[f])), score);
            patch_weights[f * LANES + LANE] = visible(tile_row + f, j) ? t : gm_float(0u);
        }
        barrier();
        uint count = smaller(LANES, keys - j0), from = at1 + at_row(j0, groups, kv_head, key_width);
        ADD_PATCH(s, k, from, groups * key_width, key_width, count)
        barrier();
        if ((j0 + LANES) % BLOCK == 0u)
            close_block(total, s);
    }
    close_block(total, s);
    for (uint f = 0u; f < TILE && tile_row + f < sequence; f++)
        for (uint a = 0u; a < COLUMNS; a++)
            if (column(a) < key_width)
                dq[at6 + at_row(tile_row + f, heads, head, key_width) + column(a)] =
                    gm_flush(gm_flush(total[f][a]) * scale);
}
