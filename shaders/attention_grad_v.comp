/* Gradient of attention for a tile of keys: dv = sum over heads and queries of p * do, p the attention weights.
 * q [b, s, n * h], k [b, s, g * h], d = do [b, s, n * e], stats [b, s, n, 2], dv [b, s, g * e]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/attention.glsl"

READS(0, float, q);
READS(1, float, k);
READS(3, float, d);
READS(4, float, stats);
WRITES(6, float, dv);
READS(7, float, slopes);

uint key_at[TILE];

/* This lane's query i of head h against the fixed keys: its weights of the patch. */
void weigh(uint i, uint h)
{
    float x[TILE];
    uint row = at_row(i, heads, h, 1u), q_at = at0 + row * key_width;
    float top = stats[at4 + 2u * row], z = stats[at4 + 2u * row + 1u];
    float slope = slopes[at7 + (sloped != 0u ? h : 0u)];
    TILE_DOTS(x, q, q_at, k, key_at, key_width)
    for (uint f = 0u; f < TILE; f++) {
        float score = score_of(x[f], slope, i, tile_row + f);
        float p = gm_flush(gm_flush(gm_exp(score - top)) * z);
        patch_weights[f * LANES + LANE] = visible(i, tile_row + f) ? p : gm_float(0u);
    }
}

void main()
{
    if (!locate(groups))
        return;
    for (uint f = 0u; f < TILE; f++)
        key_at[f] = at1 + at_row(tile_row + f, groups, kv_head, key_width);
    float u[TILE][COLUMNS], total[TILE][COLUMNS], s[TILE][COLUMNS];
    clear(u);
    clear(s);
    for (uint h = kv_head * share; h < (kv_head + 1u) * share; h++) {
        clear(total);
        for (uint i0 = causal != 0u ? tile_row / LANES * LANES : 0u; i0 < walk_end(); i0 += LANES) {
            weigh(i0 + LANE, h);
            barrier();
            uint count = smaller(LANES, sequence - i0), from = at3 + at_row(i0, heads, h, value_width);
            ADD_PATCH(s, d, from, heads * value_width, value_width, count)
            barrier();
            if ((i0 + LANES) % BLOCK == 0u)
                close_block(total, s);
        }
        close_block(total, s);
        close_block(u, total);
    }
    for (uint f = 0u; f < TILE && tile_row + f < sequence; f++)
        for (uint a = 0u; a < COLUMNS; a++)
            if (column(a) < value_width)
                dv[at6 + at_row(tile_row + f, groups, kv_head, value_width) + column(a)] = gm_flush(u[f][a]);
}
