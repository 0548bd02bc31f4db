/* y[m][n] = sum over k of x[m][k] * w[k][n], strides as in push/matmul.h: 16 DOWN x 16 ACROSS outputs a group of 256 lanes, operands
 * staged through shared memory 16 k at a time: what graphics processors do best. Edges are filled with zeros. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/constants.h"
#include "shaders/include/push/matmul.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/product.glsl"

layout(local_size_x = 256) in;
READS(0, float, x);
READS(1, float, w);

layout(constant_id = TILE_DOWN) const uint DOWN = 8u; /* outputs a lane */
layout(constant_id = TILE_ACROSS) const uint ACROSS = 4u;
const uint TALL = 16u * DOWN, WIDE = 16u * ACROSS, DEEP = 16u;

shared float left[DEEP * TALL];
shared float right[DEEP * WIDE];

/* Neighbouring lanes load what lies side by side: along k where that is dense, else along the outputs. */
void load(uint m, uint n, uint k0)
{
    for (uint i = LANE; i < DEEP * TALL; i += 256u) {
        uint k = x_step == 1u ? i % DEEP : i / TALL, r = x_step == 1u ? i / DEEP : i % TALL;
        bool inside = m + r < rows && k0 + k < depth;
        left[k * TALL + r] = inside ? x[at0 + (m + r) * x_row + (k0 + k) * x_step] : gm_float(0u);
    }
    for (uint i = LANE; i < DEEP * WIDE; i += 256u) {
        uint k = w_step == 1u ? i % DEEP : i / WIDE, c = w_step == 1u ? i / DEEP : i % WIDE;
        bool inside = n + c < columns && k0 + k < depth;
        right[k * WIDE + c] = inside ? w[at1 + (n + c) * w_column + (k0 + k) * w_step] : gm_float(0u);
    }
}

void main()
{
    uint across = (columns + WIDE - 1u) / WIDE, tile = GROUP;
    uint m = tile / across * TALL, n = tile % across * WIDE;
    if (m >= rows)
        return;
    uint down = LANE / 16u, side = LANE % 16u; /* this lane's rows are down + 16 i, its columns side + 16 j */
    float total[DOWN][ACROSS], s[DOWN][ACROSS];
    for (uint i = 0u; i < DOWN; i++)
        for (uint j = 0u; j < ACROSS; j++)
            total[i][j] = s[i][j] = gm_float(0u);
    for (uint k0 = 0u; k0 < depth; k0 += DEEP) {
        load(m, n, k0);
        barrier();
        for (uint k = 0u; k < DEEP; k++) {
            float v[ACROSS];
            for (uint j = 0u; j < ACROSS; j++)
                v[j] = right[k * WIDE + side + 16u * j];
            for (uint i = 0u; i < DOWN; i++) {
                float u = left[k * TALL + down + 16u * i];
                for (uint j = 0u; j < ACROSS; j++)
                    s[i][j] = s[i][j] + u * v[j];
            }
        }
        barrier();
        if ((k0 + DEEP) % BLOCK == 0u || k0 + DEEP >= depth)
            for (uint i = 0u; i < DOWN; i++)
                for (uint j = 0u; j < ACROSS; j++) {
                    total[i][j] = total[i][j] + s[i][j];
                    s[i][j] = gm_float(0u);
                }
    }
    for (uint i = 0u; i < DOWN; i++)
        for (uint j = 0u; j < ACROSS; j++)
            if (m + down + 16u * i < rows && n + side + 16u * j < columns)
                store(m + down + 16u * i, n + side + 16u * j, total[i][j]);
}
