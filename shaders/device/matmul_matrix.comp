/* y[m][n] = sum over k of x[m][k] * w[k][n], strides as in push/matmul.h, by cooperative matrices: operands are rounded to
 * 16 bits (BF16 defined: bfloat16, else half precision) on their way through shared memory, sums are f32. A subgroup has
 * DOWN x ACROSS accumulators of ROWS x COLUMNS outputs, a group SUBGROUPS_DOWN x SUBGROUPS_ACROSS subgroups. Each output is
 * summed over k ascending, DEPTH terms a step, whatever the tile: tiles differ in no byte. Edges are filled with zeros. */
#version 450
#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/constants.h"
#include "shaders/include/push/matmul.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/product.glsl"
#include "shaders/include/matrix.glsl"

layout(constant_id = MATRIX_DOWN) const uint DOWN = 2u;
layout(constant_id = MATRIX_ACROSS) const uint ACROSS = 2u;
layout(constant_id = MATRIX_SUBGROUPS_DOWN) const uint SUBGROUPS_DOWN = 2u;
layout(constant_id = MATRIX_SUBGROUPS_ACROSS) const uint SUBGROUPS_ACROSS = 2u;
READS(0, float, x);
READS(1, float, w);

const uint TALL = ROWS * DOWN * SUBGROUPS_DOWN, WIDE = COLUMNS * ACROSS * SUBGROUPS_ACROSS;
const uint DEEP = 2u * DEPTH;         /* terms that are staged at once */
const uint LINE = DEEP / 2u + PAD;    /* words of a staged line, two terms each */

shared uint left[TALL * LINE];  /* rows of x */
shared uint right[WIDE * LINE]; /* columns of w */
shared float done[SUBGROUPS_DOWN * SUBGROUPS_ACROSS * OUTPUTS];

/* Neighbouring lanes load what lies side by side: along k where that is dense, else along the lines. */
void load_left(uint m, uint k0)
{
    for (uint i = LANE; i < TALL * (DEEP / 2u); i += LANES) {
        uint pair = x_step == 1u ? i % (DEEP / 2u) : i / TALL, line = x_step == 1u ? i / (DEEP / 2u) : i % TALL;
        uint k = k0 + 2u * pair, at = at0 + (m + line) * x_row + k * x_step;
        bool is_inside = m + line < rows;
        float first = is_inside && k < depth ? x[at] : gm_float(0u);
        float second = is_inside && k + 1u < depth ? x[at + x_step] : gm_float(0u);
        left[line * LINE + pair] = narrow_pair(first, second);
    }
}

void load_right(uint n, uint k0)
{
    for (uint i = LANE; i < WIDE * (DEEP / 2u); i += LANES) {
        uint pair = w_step == 1u ? i % (DEEP / 2u) : i / WIDE, line = w_step == 1u ? i / (DEEP / 2u) : i % WIDE;
        uint k = k0 + 2u * pair, at = at1 + (n + line) * w_column + k * w_step;
        bool is_inside = n + line < columns;
        float first = is_inside && k < depth ? w[at] : gm_float(0u);
        float second = is_inside && k + 1u < depth ? w[at + w_step] : gm_float(0u);
        right[line * LINE + pair] = narrow_pair(first, second);
    }
}

void main()
{
    uint across = (columns + WIDE - 1u) / WIDE, tile = GROUP;
    uint m = tile / across * TALL, n = tile % across * WIDE;
    if (m >= rows)
        return;
    uint down = gl_SubgroupID / SUBGROUPS_ACROSS * DOWN * ROWS,
         side = gl_SubgroupID % SUBGROUPS_ACROSS * ACROSS * COLUMNS; /* this subgroup's first row and column */
    SUMS sums[DOWN * ACROSS];
    for (uint i = 0u; i < DOWN * ACROSS; i++)
        sums[i] = SUMS(0.0);
    for (uint k0 = 0u; k0 < depth; k0 += DEEP) {
        load_left(m, k0);
        load_right(n, k0);
        barrier();
        for (uint k = 0u; k < DEEP / 2u; k += DEPTH / 2u) {
            LEFT a[DOWN];
            for (uint i = 0u; i < DOWN; i++)
                coopMatLoad(a[i], left, (down + i * ROWS) * LINE + k, LINE, gl_CooperativeMatrixLayoutRowMajor);
            for (uint j = 0u; j < ACROSS; j++) {
                RIGHT b;
                coopMatLoad(b, right, (side + j * COLUMNS) * LINE + k, LINE, gl_CooperativeMatrixLayoutColumnMajor);
                for (uint i = 0u; i < DOWN; i++)
                    sums[i * ACROSS + j] = coopMatMulAdd(a[i], b, sums[i * ACROSS + j]);
            }
        }
        barrier();
    }
    for (uint f = 0u; f < DOWN * ACROSS; f++) {
        coopMatStore(sums[f], done, gl_SubgroupID * OUTPUTS, COLUMNS, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        for (uint i = LANE; i < SUBGROUPS_DOWN * SUBGROUPS_ACROSS * OUTPUTS; i += LANES) {
            uint subgroup = i / OUTPUTS, at = i % OUTPUTS;
            uint row = m + (subgroup / SUBGROUPS_ACROSS * DOWN + f / ACROSS) * ROWS + at / COLUMNS;
            uint column = n + (subgroup % SUBGROUPS_ACROSS * ACROSS + f % ACROSS) * COLUMNS + at % COLUMNS;
            if (row < rows && column < columns)
                store(row, column, done[i]);
        }
        barrier();
    }
}
