/* y[j] = factor * sum over query heads and queries i of panel[i][j] * x[i], factor scale, or 1 where chunks is 0.
 * 8 x 16 outputs a lane. panel [planes, rows, columns], all queries and whole groups of heads, x [b, s, n * width]
 * -> y [b, s, g * width]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
READS(0, vec4, panel);
READS(1, float, x);
READS(1, vec4, x4);
WRITES(2, float, y);

void main()
{
    uint wide = 4u * QUADS, across = (width + wide - 1u) / wide, down = (columns + TILE - 1u) / TILE, tile = GROUP;
    uint c0 = tile % across * wide, j0 = tile / across % down * TILE, plane = tile / across / down * share;
    if (plane >= planes)
        return;
    uint z = first_plane + plane, head = z % heads, ap[DOWN / 4u];
    uint start = causal != 0u ? first_column + j0 : 0u;
    j0 = j0 + LANE * 4u; /* this lane's keys are j0 .. j0 + 3 and 32 further on */
    for (uint k = 0u; k < DOWN / 4u; k++)
        ap[k] = at0 + plane * rows * panel_row() + smaller(j0 + 32u * k, panel_row() - 4u);
    vec4 sum[DOWN][QUADS], total[DOWN][QUADS], s[DOWN][QUADS];
    for (uint r = 0u; r < DOWN; r++)
        for (uint q = 0u; q < QUADS; q++)
            sum[r][q] = vec4(gm_float(0u));
    for (uint a = 0u; a < share; a++) {
        for (uint r = 0u; r < DOWN; r++)
            for (uint q = 0u; q < QUADS; q++)
                total[r][q] = vec4(gm_float(0u));
        for (uint block = start / BLOCK * BLOCK; block < sequence; block += BLOCK) {
            for (uint r = 0u; r < DOWN; r++)
                for (uint q = 0u; q < QUADS; q++)
                    s[r][q] = vec4(gm_float(0u));
            uint end = smaller(block + BLOCK, sequence);
            for (uint i = block < start ? start : block; i < end; i++) {
                uint from = at1 + at_row(z, i, heads, head + a, width);
                vec4 weights[DOWN / 4u];
                for (uint k = 0u; k < DOWN / 4u; k++)
                    weights[k] = panel[(ap[k] + (a * rows + i) * panel_row()) / 4u];
                for (uint q = 0u; q < QUADS; q++) {
                    vec4 v = FOUR_COLUMNS(x, x4, from, c0 + 4u * q);
                    for (uint r = 0u; r < DOWN; r++)
                        s[r][q] = s[r][q] + weights[r / 4u][r % 4u] * v;
                }
            }
            for (uint r = 0u; r < DOWN; r++)
                for (uint q = 0u; q < QUADS; q++)
                    total[r][q] = total[r][q] + s[r][q];
        }
        for (uint r = 0u; r < DOWN; r++)
            for (uint q = 0u; q < QUADS; q++)
                sum[r][q] = sum[r][q] + total[r][q];
    }
    for (uint r = 0u; r < DOWN; r++) {
        uint j = j0 + r / 4u * 32u + r % 4u;
        for (uint q = 0u; q < QUADS; q++)
            for (uint e = 0u; e < 4u; e++)
                if (j < columns && c0 + 4u * q + e < width) {
                    float v = gm_flush(sum[r][q][e]);
                    y[at2 + at_row(z, first_column + j, groups, head / share, width) + c0 + 4u * q + e] =
                        chunks == 0u ? v : gm_flush(v * scale);
                }
    }
}
