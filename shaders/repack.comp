/* y[k * y_row + n] = w[k][n], strides as in push/matmul.h: columns of a matrix copied, each row followed by zeros up to
 * `padded` elements. Makes loads of four neighbours possible, and operands small enough to be bound. w -> y. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/matmul.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, w);
WRITES(1, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= depth * padded)
        return;
    uint k = i / padded, n = i % padded, inside = smaller(n, columns - 1u);
    float v = w[at0 + k * w_step + inside * w_column];
    y[at1 + k * y_row + n] = n < columns ? v : gm_float(0u);
}
