/* Cross-entropy of each row, and its gradient times the weight of the row.
 * logits x, dx [rows, columns], labels [rows], weights [rows] -> loss [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
READS(1, uint, labels);
READS(2, float, weights);
WRITES(3, float, loss);
WRITES(4, float, dx);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = at0 + row * columns, label = smaller(labels[at1 + row], columns - 1u);
    float m = LOWEST, s = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES)
        m = gm_max(m, x[at + c]);
    m = row_max(m);
    for (uint c = LANE; c < columns; c += LANES)
        s = s + gm_flush(gm_exp(x[at + c] - m));
    s = row_sum(s);
    float z = gm_flush(gm_rcp(s)), weight = weights[at2 + row];
    for (uint c = LANE; c < columns; c += LANES) {
        float p = gm_flush(gm_flush(gm_exp(x[at + c] - m)) * z);
        float d = gm_flush(c == label ? p - gm_float(GM_ONE) : p);
        dx[at4 + row * columns + c] = gm_flush(d * weight);
    }
    if (LANE == 0u)
        loss[at3 + row] = gm_flush(gm_log(s) + gm_flush(m - x[at + label]));
}
