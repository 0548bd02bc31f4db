/* y[m][n] = sum over k of x[m][k] * w[k][n], strides as in push/matmul.h; one output a lane, for small shapes. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/constants.h"
#include "shaders/include/push/matmul.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/product.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
READS(1, float, w);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= rows * columns)
        return;
    uint m = i / columns, n = i % columns, ax = at0 + m * x_row, aw = at1 + n * w_column;
    float total = gm_float(0u);
    for (uint block = 0u; block < depth; block += BLOCK) {
        uint end = smaller(block + BLOCK, depth);
        float s = gm_float(0u);
        for (uint k = block; k < end; k++)
            s = s + x[ax + k * x_step] * w[aw + k * w_step];
        total = total + s;
    }
    store(m, n, total);
}
