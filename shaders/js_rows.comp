/* Jensen-Shannon divergence of each row, and its gradient times the weight of the row.
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

/* The logarithm of twice what `part` has of part + other, 0 for none. */
float log_twice(float part, float other)
{
    float sum = gm_flush(part + other);
    float share = gm_flush(part * gm_flush(gm_rcp(sum == gm_float(0u) ? gm_float(GM_ONE) : sum)));
    return share == gm_float(0u) ? gm_float(0u) : gm_flush(gm_log(share + share));
}

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint ax = at0 + row * columns, ay = at1 + row * columns;
    FIND_SOFTMAX(ax, ay)
    float of_x = gm_float(0u), of_y = gm_float(0u), weight = weights[at2 + row];
    float one_half = gm_float(0x3f000000u); /* 0.5 */
    for (uint c = LANE; c < columns; c += LANES) {
        float p = student_share(x[ax + c]), q = teacher_share(y[ay + c]);
        of_x = of_x + p * log_twice(p, q);
        of_y = of_y + q * log_twice(q, p);
    }
    of_x = gm_flush(row_sum(of_x));
    of_y = gm_flush(row_sum(of_y));
    for (uint c = LANE; c < columns; c += LANES) {
        float p = student_share(x[ax + c]), q = teacher_share(y[ay + c]);
        float d = gm_flush(gm_flush(p * gm_flush(log_twice(p, q) - of_x)) * one_half);
        dx[at4 + row * columns + c] = gm_flush(d * weight);
    }
    if (LANE == 0u)
        loss[at3 + row] = gm_flush((of_x + of_y) * one_half);
}
