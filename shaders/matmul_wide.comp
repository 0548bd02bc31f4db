/* y[m][n] = sum over k of x[m][k] * w[k][n], 16 x 16 outputs a lane in registers and no shared memory: what processors do
 * best. w is dense and bound up to a multiple of 4 columns, w_step and at1 are multiples of 4. Edges read the last row or four columns again and store nothing. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/matmul.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 8) in;
READS(0, float, x);
READS(1, vec4, w);
WRITES(2, float, y);

const uint TALL = 16u;  /* rows a lane */
const uint QUADS = 4u;  /* times four columns a lane */
const uint WIDE = 128u; /* columns a group */

void add_block(uint begin, uint end, uint ax[TALL], uint aw[QUADS], inout vec4 s[TALL][QUADS])
{
    for (uint k = begin; k < end; k++) {
        vec4 v[QUADS];
        for (uint j = 0u; j < QUADS; j++)
            v[j] = w[aw[j] + k * (w_step / 4u)];
        for (uint i = 0u; i < TALL; i++) {
            float u = x[ax[i] + k * x_step];
            for (uint j = 0u; j < QUADS; j++)
                s[i][j] = s[i][j] + u * v[j];
        }
    }
}

void main()
{
    uint across = (columns + WIDE - 1u) / WIDE, tile = GROUP;
    uint m = tile / across * TALL, n = tile % across * WIDE + LANE * 4u;
    if (m >= rows)
        return;
    uint ax[TALL], aw[QUADS];
    for (uint i = 0u; i < TALL; i++)
        ax[i] = at0 + smaller(m + i, rows - 1u) * x_row;
    for (uint j = 0u; j < QUADS; j++)
        aw[j] = at1 / 4u + smaller((n + j * 32u) / 4u, (columns + 3u) / 4u - 1u);

    vec4 total[TALL][QUADS], s[TALL][QUADS];
    for (uint i = 0u; i < TALL; i++)
        for (uint j = 0u; j < QUADS; j++)
            total[i][j] = vec4(gm_float(0u));
    for (uint block = 0u; block < depth; block += BLOCK) {
        for (uint i = 0u; i < TALL; i++)
            for (uint j = 0u; j < QUADS; j++)
                s[i][j] = vec4(gm_float(0u));
        add_block(block, smaller(block + BLOCK, depth), ax, aw, s);
        for (uint i = 0u; i < TALL; i++)
            for (uint j = 0u; j < QUADS; j++)
                total[i][j] = total[i][j] + s[i][j];
    }
    for (uint i = 0u; i < TALL; i++)
        for (uint j = 0u; j < QUADS; j++)
            for (uint e = 0u; e < 4u; e++)
                if (m + i < rows && n + j * 32u + e < columns)
                    y[at2 + (m + i) * y_row + n + j * 32u + e] = gm_flush(total[i][j][e]);
}
