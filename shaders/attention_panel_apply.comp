/* y[i] = factor * sum over keys j of panel[i][j] * x[j], factor z of stats where chunks is 0, else scale.
 * 8 x 16 outputs a lane. panel [planes, rows, columns], all keys of a query, x [b, s, g * width] -> y [b, s, n * width]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
READS(0, vec4, panel);
READS(1, float, x);
READS(1, vec4, x4);
READS(2, float, stats);
WRITES(3, float, y);

void main()
{
    uint wide = 4u * QUADS, across = (width + wide - 1u) / wide, down = (rows + TILE - 1u) / TILE, tile = GROUP;
    uint c0 = tile % across * wide, i0 = tile / across % down * TILE, plane = tile / across / down;
    if (plane >= planes)
        return;
    uint z = first_plane + plane, head = z % heads, ap[DOWN], keys = panel_row();
    if (causal != 0u)
        keys = smaller(keys, first_row + i0 + TILE);
    for (uint r = 0u; r < DOWN; r++) /* this lane's rows are i0 + 8 r + LANE */
        ap[r] = at0 + (plane * rows + smaller(i0 + 8u * r + LANE, rows - 1u)) * panel_row();
    vec4 total[DOWN][QUADS], s[DOWN][QUADS];
    for (uint r = 0u; r < DOWN; r++)
        for (uint q = 0u; q < QUADS; q++)
            total[r][q] = vec4(gm_float(0u));
    uint start = causal != 0u ? first_key(first_row + i0) / 4u * 4u : 0u;
    for (uint block = start / BLOCK * BLOCK; block < keys; block += BLOCK) {
        for (uint r = 0u; r < DOWN; r++)
            for (uint q = 0u; q < QUADS; q++)
                s[r][q] = vec4(gm_float(0u));
        uint end = smaller(block + BLOCK, keys);
        for (uint j = block < start ? start : block; j < end; j += 4u) { /* beyond the last key weights are 0 */
            vec4 other[4][QUADS];
            for (uint e = 0u; e < 4u; e++) {
                uint from = at1 + at_row(z, smaller(j + e, columns - 1u), groups, head / share, width);
                for (uint q = 0u; q < QUADS; q++)
                    other[e][q] = FOUR_COLUMNS(x, x4, from, c0 + 4u * q);
            }
            for (uint r = 0u; r < DOWN; r++)
                if (i0 + 8u * r < rows && (causal == 0u || j < first_row + i0 + 8u * r + 8u)) {
                    vec4 weights = panel[(ap[r] + j) / 4u];
                    for (uint q = 0u; q < QUADS; q++)
                        for (uint e = 0u; e < 4u; e++)
                            s[r][q] = s[r][q] + weights[e] * other[e][q];
                }
        }
        for (uint r = 0u; r < DOWN; r++)
            for (uint q = 0u; q < QUADS; q++)
                total[r][q] = total[r][q] + s[r][q];
    }
    for (uint r = 0u; r < DOWN; r++) {
        uint i = i0 + 8u * r + LANE, row = first_row + smaller(i, rows - 1u);
        float factor = chunks == 0u ? stats[at2 + at_row(z, row, heads, head, 2u) + 1u] : scale;
        for (uint q = 0u; q < QUADS; q++)
            for (uint e = 0u; e < 4u; e++)
                if (i < rows && c0 + 4u * q + e < width)
                    y[at3 + at_row(z, row, heads, head, width) + c0 + 4u * q + e] = gm_flush(gm_flush(total[r][q][e]) * factor);
    }
}
