/* Forward KL divergence of each row over the teacher's `length` largest (those equal to the last of them too), with
 * all others as one token, and its gradient times the weight of the row.
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

#include "shaders/include/largest.glsl"

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint ax = at0 + row * columns, ay = at1 + row * columns, least = least_kept(ay);
    FIND_SOFTMAX(ax, ay)
    float nx = LOWEST, ny = LOWEST, ux = gm_float(0u), uy = gm_float(0u);
    float rest = gm_float(0u), l = gm_float(0u), weight = weights[at2 + row];
    for (uint c = LANE; c < columns; c += LANES)
        if (rank_of(y[ay + c]) < least) {
            nx = gm_max(nx, x[ax + c]);
            ny = gm_max(ny, y[ay + c]);
        }
    nx = row_max(nx);
    ny = row_max(ny);
    for (uint c = LANE; c < columns; c += LANES) {
        float of_x = x[ax + c], of_y = y[ay + c], q = teacher_share(of_y);
        if (rank_of(of_y) < least) {
            ux = ux + gm_flush(gm_exp(of_x - nx));
            uy = uy + gm_flush(gm_exp(of_y - ny));
            rest = rest + q;
        } else
            l = l + q * gm_flush((of_y - of_x) + shift);
    }
    ux = row_sum(ux);
    uy = row_sum(uy);
    rest = gm_flush(row_sum(rest));
    l = gm_flush(row_sum(l));
    bool has_rest = rest != gm_float(0u);
    float zu = has_rest ? gm_flush(gm_rcp(ux)) : gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES) {
        float of_x = x[ax + c], target = teacher_share(y[ay + c]);
        if (rank_of(y[ay + c]) < least)
            target = has_rest ? gm_flush(gm_flush(gm_flush(gm_exp(of_x - nx)) * zu) * rest) : gm_float(0u);
        dx[at4 + row * columns + c] = gm_flush(gm_flush(student_share(of_x) - target) * weight);
    }
    if (LANE == 0u) {
        float of_rest = gm_flush(rest * gm_flush(((gm_log(uy) + ny) - (gm_log(ux) + nx)) + shift));
        loss[at3 + row] = has_rest ? gm_flush(l + of_rest) : l;
    }
}
