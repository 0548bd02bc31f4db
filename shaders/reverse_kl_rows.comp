/* Reverse KL divergence of each row, KL(student || teacher), and its gradient times the weight of the row.
 * student x, teacher y, dx [rows, columns], weights [rows] -> loss [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/softmax.glsl"

READS(0, float, x);
READS(1, float, y);
READS(2, float, weights);
WRITES(3, float, loss);
WRITES(4, float, dx);

float difference(float of_x, float of_y)
{
    return gm_flush((of_x - of_y) - shift);
}

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint ax = at0 + row * columns, ay = at1 + row * columns;
    FIND_SOFTMAX(ax, ay)
    float l = gm_float(0u), weight = weights[at2 + row];
    for (uint c = LANE; c < columns; c += LANES)
        l = l + student_share(x[ax + c]) * difference(x[ax + c], y[ay + c]);
    l = gm_flush(row_sum(l));
    for (uint c = LANE; c < columns; c += LANES) {
        float u = difference(x[ax + c], y[ay + c]);
        dx[at4 + row * columns + c] = gm_flush(gm_flush(student_share(x[ax + c]) * gm_flush(u - l)) * weight);
    }
    if (LANE == 0u)
        loss[at3 + row] = l;
}
