/* y[i] = factor * sum over keys j of panel[i][j] * x[j], factor z of stats where chunks is 0, else scale.
 * 16 x 4 outputs a lane. panel [planes, rows, columns], all keys of a query, x [b, s, g * width] -> y [b, s, n * width]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
READS(0, float, panel);
READS(1, float, x);
READS(2, float, stats);
WRITES(3, float, y);

void main()
{
    uint across = (width + 31u) / 32u, down = (rows + TALL - 1u) / TALL, tile = GROUP;
    uint c0 = tile % across * 32u + LANE * 4u, i0 = tile / across % down * TALL, plane = tile / across / down;
    if (plane >= planes)
        return;
    uint z = first_plane + plane, head = z % heads, ap[TALL], ax[4];
    uint keys = causal != 0u ? smaller(columns, first_row + i0 + TALL) : columns;
    for (uint i = 0u; i < TALL; i++)
        ap[i] = at0 + (plane * rows + smaller(i0 + i, rows - 1u)) * columns;
    for (uint e = 0u; e < 4u; e++)
        ax[e] = at1 + at_row(z, 0u, groups, head / share, width) + smaller(c0 + e, width - 1u);
    vec4 total[TALL], s[TALL];
    for (uint i = 0u; i < TALL; i++)
        total[i] = vec4(gm_float(0u));
    for (uint block = 0u; block < keys; block += BLOCK) {
        for (uint i = 0u; i < TALL; i++)
            s[i] = vec4(gm_float(0u));
        uint end = smaller(block + BLOCK, keys);
        for (uint j = block; j < end; j++) {
            uint step = j * groups * width;
            vec4 v = vec4(x[ax[0] + step], x[ax[1] + step], x[ax[2] + step], x[ax[3] + step]);
            for (uint i = 0u; i < TALL; i++)
                s[i] = s[i] + panel[ap[i] + j] * v;
        }
        for (uint i = 0u; i < TALL; i++)
            total[i] = total[i] + s[i];
    }
    for (uint i = 0u; i < TALL; i++) {
        uint row = first_row + smaller(i0 + i, rows - 1u);
        float factor = chunks == 0u ? stats[at2 + at_row(z, row, heads, head, 2u) + 1u] : scale;
        for (uint e = 0u; e < 4u; e++)
            if (i0 + i < rows && c0 + e < width)
                y[at3 + at_row(z, row, heads, head, width) + c0 + e] = gm_flush(gm_flush(total[i][e]) * factor);
    }
}
