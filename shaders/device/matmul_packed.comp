/* y[m][n] = sum over k of x[m][k] * w[k][n], strides as in push/matmul.h, for devices without cooperative matrices: as
 * matmul_tile, but operands are rounded to half precision when they are staged in shared memory, two terms a word, which
 * halves what is read of it. Products and sums are f32, k ascending: tiles differ in no byte. */
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

shared uint left[DEEP / 2u * TALL];
shared uint right[DEEP / 2u * WIDE];

/* Neighbouring lanes load what lies side by side: along k where that is dense, else along the outputs. */
void load(uint m, uint n, uint k0)
{
    for (uint i = LANE; i < DEEP / 2u * TALL; i += 256u) {
        uint pair = x_step == 1u ? i % (DEEP / 2u) : i / TALL, r = x_step == 1u ? i / (DEEP / 2u) : i % TALL;
        uint k = k0 + 2u * pair, at = at0 + (m + r) * x_row + k * x_step;
        float first = m + r < rows && k < depth ? x[at] : gm_float(0u);
        float second = m + r < rows && k + 1u < depth ? x[at + x_step] : gm_float(0u);
        left[pair * TALL + r] = packHalf2x16(vec2(first, second));
    }
    for (uint i = LANE; i < DEEP / 2u * WIDE; i += 256u) {
        uint pair = w_step == 1u ? i % (DEEP / 2u) : i / WIDE, c = w_step == 1u ? i / (DEEP / 2u) : i % WIDE;
        uint k = k0 + 2u * pair, at = at1 + (n + c) * w_column + k * w_step;
        float first = n + c < columns && k < depth ? w[at] : gm_float(0u);
        float second = n + c < columns && k + 1u < depth ? w[at + w_step] : gm_float(0u);
        right[pair * WIDE + c] = packHalf2x16(vec2(first, second));
    }
}

void main()
{
    uint across = (columns + WIDE - 1u) / WIDE, tile = GROUP;
    uint m = tile / across * TALL, n = tile % across * WIDE;
    if (m >= rows)
        return;
    uint down = LANE / 16u, side = LANE % 16u; /* this lane's rows are down + 16 i, its columns side + 16 j */
    float s[DOWN][ACROSS];
    for (uint i = 0u; i < DOWN; i++)
        for (uint j = 0u; j < ACROSS; j++)
            s[i][j] = gm_float(0u);
    for (uint k0 = 0u; k0 < depth; k0 += DEEP) {
        load(m, n, k0);
        barrier();
        for (uint pair = 0u; pair < DEEP / 2u; pair++) {
            vec2 v[ACROSS];
            for (uint j = 0u; j < ACROSS; j++)
                v[j] = unpackHalf2x16(right[pair * WIDE + side + 16u * j]);
            for (uint i = 0u; i < DOWN; i++) {
                vec2 u = unpackHalf2x16(left[pair * TALL + down + 16u * i]);
                for (uint j = 0u; j < ACROSS; j++) {
                    s[i][j] = fma(u.x, v[j].x, s[i][j]);
                    s[i][j] = fma(u.y, v[j].y, s[i][j]);
                }
            }
        }
        barrier();
    }
    for (uint i = 0u; i < DOWN; i++)
        for (uint j = 0u; j < ACROSS; j++)
            if (m + down + 16u * i < rows && n + side + 16u * j < columns)
                store(m + down + 16u * i, n + side + 16u * j, s[i][j]);
}
