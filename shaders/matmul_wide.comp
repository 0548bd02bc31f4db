/* y[m][n] = sum over k of x[m][k] * w[k][n], TALL x 4 QUADS outputs a lane in registers and no shared memory: what processors
 * do best. Both operands are read four neighbours at a time, along k or along the outputs: what lies side by side in them
 * comes to a multiple of 4, as do their other stride and at0, at1. Edges read the last four again and store nothing. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/constants.h"
#include "shaders/include/push/matmul.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/product.glsl"

layout(local_size_x = 8) in;
layout(constant_id = WIDE_TALL) const uint TALL = 16u;     /* rows a lane, a multiple of 4 */
layout(constant_id = WIDE_QUADS) const uint QUADS = 4u;     /* times four columns a lane */
layout(constant_id = WIDE_UNROLLED) const uint UNROLLED = 0u;  /* four k at a time; else one, and w lies along columns */
layout(constant_id = WIDE_X_ALONG_K) const uint X_ALONG_K = 0u; /* else along rows */
layout(constant_id = WIDE_W_ALONG_K) const uint W_ALONG_K = 0u; /* else along columns */
READS(0, vec4, x);
READS(1, vec4, w);

uint ax[TALL], aw[4u * QUADS];
vec4 s[TALL][QUADS], u[TALL], t[4u * QUADS];

/* Columns n .. n + 3 of quad j at k + e. */
vec4 right(uint j, uint k, uint e)
{
    if (W_ALONG_K == 0u)
        return w[aw[j] + (k + e) * (w_step / 4u)];
    return vec4(t[4u * j][e], t[4u * j + 1u][e], t[4u * j + 2u][e], t[4u * j + 3u][e]);
}

void add_four(uint k)
{
    for (uint i = 0u; i < TALL; i++) /* row i from k on, or rows i / 4 * 4 .. at k + i % 4 */
        u[i] = X_ALONG_K != 0u ? x[ax[i] + k / 4u] : x[ax[i / 4u] + (k + i % 4u) * (x_step / 4u)];
    if (W_ALONG_K != 0u)
        for (uint j = 0u; j < 4u * QUADS; j++)
            t[j] = w[aw[j] + k / 4u];
    for (uint e = 0u; e < 4u; e++) {
        vec4 v[QUADS];
        for (uint j = 0u; j < QUADS; j++)
            v[j] = right(j, k, e);
        for (uint i = 0u; i < TALL; i++) {
            float left = X_ALONG_K != 0u ? u[i][e] : u[i / 4u * 4u + e][i % 4u];
            for (uint j = 0u; j < QUADS; j++)
                s[i][j] = s[i][j] + left * v[j];
        }
    }
}

void add_one(uint k)
{
    vec4 v[QUADS];
    for (uint j = 0u; j < QUADS; j++)
        v[j] = w[aw[j] + k * (w_step / 4u)];
    if (X_ALONG_K == 0u)
        for (uint i = 0u; i < TALL / 4u; i++)
            u[i] = x[ax[i] + k * (x_step / 4u)];
    for (uint i = 0u; i < TALL; i++) {
        float left = X_ALONG_K != 0u ? x[ax[i] + k / 4u][k % 4u] : u[i / 4u][i % 4u];
        for (uint j = 0u; j < QUADS; j++)
            s[i][j] = s[i][j] + left * v[j];
    }
}

void find(uint m, uint n)
{
    for (uint i = 0u; i < TALL; i++)
        ax[i] = X_ALONG_K != 0u ? (at0 + smaller(m + i, rows - 1u) * x_row) / 4u
                                : at0 / 4u + smaller(m / 4u + i, (rows + 3u) / 4u - 1u);
    for (uint j = 0u; j < 4u * QUADS; j++)
        aw[j] = W_ALONG_K != 0u ? (at1 + smaller(n + j / 4u * 32u + j % 4u, columns - 1u) * w_column) / 4u
                                : at1 / 4u + smaller(n / 4u + j * 8u, (columns + 3u) / 4u - 1u);
}

void main()
{
    uint wide = 32u * QUADS, across = (columns + wide - 1u) / wide, tile = GROUP;
    uint m = tile / across * TALL, n = tile % across * wide + LANE * 4u;
    if (m >= rows)
        return;
    find(m, n);
    vec4 total[TALL][QUADS];
    for (uint i = 0u; i < TALL; i++)
        for (uint j = 0u; j < QUADS; j++)
            total[i][j] = vec4(gm_float(0u));
    for (uint block = 0u; block < depth; block += BLOCK) {
        for (uint i = 0u; i < TALL; i++)
            for (uint j = 0u; j < QUADS; j++)
                s[i][j] = vec4(gm_float(0u));
        uint end = smaller(block + BLOCK, depth), k = block;
        if (UNROLLED != 0u)
            for (; k + 4u <= end; k += 4u)
                add_four(k);
        if (W_ALONG_K == 0u) /* what lies along k comes to a multiple of 4 */
            for (; k < end; k++)
                add_one(k);
        for (uint i = 0u; i < TALL; i++)
            for (uint j = 0u; j < QUADS; j++)
                total[i][j] = total[i][j] + s[i][j];
    }
    for (uint i = 0u; i < TALL; i++)
        for (uint j = 0u; j < QUADS; j++)
            for (uint e = 0u; e < 4u; e++)
                if (m + i < rows && n + j * 32u + e < columns)
                    store(m + i, n + j * 32u + e, total[i][j][e]);
}
