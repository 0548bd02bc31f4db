/* y[j] = factor * sum over query heads and queries i of panel[i][j] * x[i], factor scale, or 1 where chunks is 0.
 * 16 x 4 outputs a lane. panel [planes, rows, columns], all queries and whole groups of heads, x [b, s, n * width]
 * -> y [b, s, g * width]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
READS(0, float, panel);
READS(1, float, x);
WRITES(2, float, y);

void main()
{
    uint across = (width + 31u) / 32u, down = (columns + TALL - 1u) / TALL, tile = GROUP;
    uint c0 = tile % across * 32u + LANE * 4u, j0 = tile / across % down * TALL, plane = tile / across / down * share;
    if (plane >= planes)
        return;
    uint z = first_plane + plane, head = z % heads, ap[TALL], ax[4];
    uint start = causal != 0u ? first_column + j0 : 0u;
    for (uint i = 0u; i < TALL; i++)
        ap[i] = at0 + plane * rows * columns + smaller(j0 + i, columns - 1u);
    for (uint e = 0u; e < 4u; e++)
        ax[e] = at1 + at_row(z, 0u, heads, head, width) + smaller(c0 + e, width - 1u);
    vec4 sum[TALL], total[TALL], s[TALL];
    for (uint i = 0u; i < TALL; i++)
        sum[i] = vec4(gm_float(0u));
    for (uint a = 0u; a < share; a++) {
        for (uint i = 0u; i < TALL; i++)
            total[i] = vec4(gm_float(0u));
        for (uint block = start / BLOCK * BLOCK; block < sequence; block += BLOCK) {
            for (uint i = 0u; i < TALL; i++)
                s[i] = vec4(gm_float(0u));
            uint end = smaller(block + BLOCK, sequence);
            for (uint q = block < start ? start : block; q < end; q++) {
                uint step = q * heads * width + a * width, from = (a * rows + q) * columns;
                vec4 v = vec4(x[ax[0] + step], x[ax[1] + step], x[ax[2] + step], x[ax[3] + step]);
                for (uint i = 0u; i < TALL; i++)
                    s[i] = s[i] + panel[ap[i] + from] * v;
            }
            for (uint i = 0u; i < TALL; i++)
                total[i] = total[i] + s[i];
        }
        for (uint i = 0u; i < TALL; i++)
            sum[i] = sum[i] + total[i];
    }
    for (uint i = 0u; i < TALL; i++)
        for (uint e = 0u; e < 4u; e++)
            if (j0 + i < columns && c0 + e < width) {
                float v = gm_flush(sum[i][e]);
                y[at2 + at_row(z, first_column + j0 + i, groups, head / share, width) + c0 + e] =
                    chunks == 0u ? v : gm_flush(v * scale);
            }
}
