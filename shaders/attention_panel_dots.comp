/* panel[z][i][j] = sum over c of x[i][c] * y[j][c], for queries i and keys j: x of query heads, y of key-value heads.
 * HIGH x 4 ACROSS outputs a lane. Tiles that causality hides are not written.
 * x [b, s, n * width], y [b, s, g * width] -> panel [planes, rows, columns]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
layout(constant_id = PANEL_TALL) const uint HIGH = 16u;
layout(constant_id = PANEL_QUADS) const uint ACROSS = 2u;
READS(0, float, x);
READS(1, float, y);
READS(0, vec4, x4);
READS(1, vec4, y4);
WRITES(2, vec4, panel);

uint ax[HIGH], ay[4u * ACROSS];
vec4 s[HIGH][ACROSS], u[HIGH], t[4u * ACROSS];

void add_four(uint c)
{
    for (uint i = 0u; i < HIGH; i++)
        u[i] = x4[(ax[i] + c) / 4u];
    for (uint j = 0u; j < 4u * ACROSS; j++)
        t[j] = y4[(ay[j] + c) / 4u];
    for (uint e = 0u; e < 4u; e++)
        for (uint j = 0u; j < ACROSS; j++) {
            vec4 v = vec4(t[4u * j][e], t[4u * j + 1u][e], t[4u * j + 2u][e], t[4u * j + 3u][e]);
            for (uint i = 0u; i < HIGH; i++)
                s[i][j] = s[i][j] + u[i][e] * v;
        }
}

void add_one(uint c)
{
    for (uint j = 0u; j < ACROSS; j++) {
        vec4 v = vec4(y[ay[4u * j] + c], y[ay[4u * j + 1u] + c], y[ay[4u * j + 2u] + c], y[ay[4u * j + 3u] + c]);
        for (uint i = 0u; i < HIGH; i++)
            s[i][j] = s[i][j] + x[ax[i] + c] * v;
    }
}

void main()
{
    uint wide = 32u * ACROSS, across = (columns + wide - 1u) / wide, down = (rows + HIGH - 1u) / HIGH, tile = GROUP;
    uint j0 = tile % across * wide, i0 = tile / across % down * HIGH, plane = tile / across / down;
    if (plane >= planes || (causal != 0u && first_column + j0 > first_row + i0 + HIGH - 1u))
        return;
    uint z = first_plane + plane, head = z % heads;
    j0 = j0 + LANE * 4u;
    for (uint i = 0u; i < HIGH; i++)
        ax[i] = at0 + at_row(z, first_row + smaller(i0 + i, rows - 1u), heads, head, width);
    for (uint j = 0u; j < 4u * ACROSS; j++)
        ay[j] = at1 + at_row(z, first_column + smaller(j0 + j / 4u * 32u + j % 4u, columns - 1u), groups, head / share, width);

    vec4 total[HIGH][ACROSS];
    for (uint i = 0u; i < HIGH; i++)
        for (uint j = 0u; j < ACROSS; j++)
            total[i][j] = vec4(gm_float(0u));
    for (uint block = 0u; block < width; block += BLOCK) {
        for (uint i = 0u; i < HIGH; i++)
            for (uint j = 0u; j < ACROSS; j++)
                s[i][j] = vec4(gm_float(0u));
        uint end = smaller(block + BLOCK, width);
        if (FOUR != 0u)
            for (uint c = block; c < end; c += 4u)
                add_four(c);
        else
            for (uint c = block; c < end; c++)
                add_one(c);
        for (uint i = 0u; i < HIGH; i++)
            for (uint j = 0u; j < ACROSS; j++)
                total[i][j] = total[i][j] + s[i][j];
    }
    for (uint i = 0u; i < HIGH; i++)
        for (uint j = 0u; j < ACROSS; j++)
            if (i0 + i < rows && j0 + j * 32u < columns)
                panel[(at2 + (plane * rows + i0 + i) * panel_row() + j0 + j * 32u) / 4u] =
                    vec4(gm_flush(total[i][j].x), gm_flush(total[i][j].y), gm_flush(total[i][j].z), gm_flush(total[i][j].w));
}
