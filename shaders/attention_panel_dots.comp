/* panel[z][i][j] = scale, bent by the softcap, * sum over c of x[i][c] * y[j][c], for queries i and keys j: x of query heads, y of key-value heads.
 * 16 x 16 outputs a lane. Tiles that causality hides are not written.
 * x [b, s, n * width], y [b, s, g * width] -> panel [planes, rows, columns]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
READS(0, float, x);
READS(1, float, y);
WRITES(2, float, panel);
READS(3, float, slopes);

const uint QUADS = 4u, WIDE = 128u;

void main()
{
    uint across = (columns + WIDE - 1u) / WIDE, down = (rows + TALL - 1u) / TALL, tile = GROUP;
    uint j0 = tile % across * WIDE, i0 = tile / across % down * TALL, plane = tile / across / down;
    if (plane >= planes || (causal != 0u && first_column + j0 > first_row + i0 + TALL - 1u))
        return;
    uint z = first_plane + plane, head = z % heads, ax[TALL], ay[QUADS * 4u];
    j0 = j0 + LANE * 4u;
    for (uint i = 0u; i < TALL; i++)
        ax[i] = at0 + at_row(z, first_row + smaller(i0 + i, rows - 1u), heads, head, width);
    for (uint j = 0u; j < QUADS * 4u; j++)
        ay[j] = at1 + at_row(z, first_column + smaller(j0 + j / 4u * 32u + j % 4u, columns - 1u), groups, head / share, width);

    float slope = slopes[at3 + (sloped != 0u ? head : 0u)];
    vec4 total[TALL][QUADS], s[TALL][QUADS];
    for (uint i = 0u; i < TALL; i++)
        for (uint j = 0u; j < QUADS; j++)
            total[i][j] = vec4(gm_float(0u));
    for (uint block = 0u; block < width; block += BLOCK) {
        for (uint i = 0u; i < TALL; i++)
            for (uint j = 0u; j < QUADS; j++)
                s[i][j] = vec4(gm_float(0u));
        uint end = smaller(block + BLOCK, width);
        for (uint c = block; c < end; c++) {
            vec4 v[QUADS];
            for (uint j = 0u; j < QUADS; j++)
                v[j] = vec4(y[ay[4u * j] + c], y[ay[4u * j + 1u] + c], y[ay[4u * j + 2u] + c], y[ay[4u * j + 3u] + c]);
            for (uint i = 0u; i < TALL; i++) {
                float u = x[ax[i] + c];
                for (uint j = 0u; j < QUADS; j++)
                    s[i][j] = s[i][j] + u * v[j];
            }
        }
        for (uint i = 0u; i < TALL; i++)
            for (uint j = 0u; j < QUADS; j++)
                total[i][j] = total[i][j] + s[i][j];
    }
    for (uint i = 0u; i < TALL; i++)
        for (uint j = 0u; j < QUADS; j++)
            for (uint e = 0u; e < 4u; e++)
                if (i0 + i < rows && j0 + j * 32u + e < columns)
                    panel[at2 + (plane * rows + i0 + i) * columns + j0 + j * 32u + e] =
                        score_of(total[i][j][e], slope, first_row + i0 + i, first_column + j0 + j * 32u + e);
}
