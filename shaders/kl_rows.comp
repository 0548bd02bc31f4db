/* Forward KL divergence of each row, KL(teacher || student), and its gradient times the weight of the row.
 * student x, teacher y, dx [rows, columns], weights [rows] -> loss [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
READS(1, float, y);
READS(2, float, weights);
WRITES(3, float, loss);
WRITES(4, float, dx);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint ax = at0 + row * columns, ay = at1 + row * columns;
    float mx = LOWEST, my = LOWEST, sx = gm_float(0u), sy = gm_float(0u), l = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES) {
        mx = gm_max(mx, x[ax + c]);
        my = gm_max(my, y[ay + c]);
    }
    mx = row_max(mx);
    my = row_max(my);
    for (uint c = LANE; c < columns; c += LANES) {
        sx = sx + gm_flush(gm_exp(x[ax + c] - mx));
        sy = sy + gm_flush(gm_exp(y[ay + c] - my));
    }
    sx = row_sum(sx);
    sy = row_sum(sy);
    float zx = gm_flush(gm_rcp(sx)), zy = gm_flush(gm_rcp(sy)), weight = weights[at2 + row];
    float shift = (gm_log(sx) + mx) - (gm_log(sy) + my);
    for (uint c = LANE; c < columns; c += LANES) {
        float p = gm_flush(gm_flush(gm_exp(x[ax + c] - mx)) * zx);
        float q = gm_flush(gm_flush(gm_exp(y[ay + c] - my)) * zy);
        l = l + q * gm_flush((y[ay + c] - x[ax + c]) + shift);
        dx[at4 + row * columns + c] = gm_flush(gm_flush(p - q) * weight);
    }
    l = row_sum(l);
    if (LANE == 0u)
        loss[at3 + row] = gm_flush(l);
}
