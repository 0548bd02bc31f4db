/* One less the cosine of each pair of rows, and its gradient times the weight of the row; where either row is 0 the
 * loss is 1 and has no gradient. a, b, da [rows, columns], weights [rows] -> loss [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, a);
READS(1, float, b);
READS(2, float, weights);
WRITES(3, float, loss);
WRITES(4, float, da);

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint at = row * columns;
    float ab = gm_float(0u), aa = gm_float(0u), bb = gm_float(0u), weight = weights[at2 + row];
    for (uint c = LANE; c < columns; c += LANES) {
        float u = a[at0 + at + c], v = b[at1 + at + c];
        ab = ab + u * v;
        aa = aa + u * u;
        bb = bb + v * v;
    }
    ab = gm_flush(row_sum(ab));
    aa = gm_flush(row_sum(aa));
    bb = gm_flush(row_sum(bb));
    bool is_none = aa == gm_float(0u) || bb == gm_float(0u);
    float of_a = gm_flush(gm_rsqrt(aa)), of_b = gm_flush(gm_rsqrt(bb));
    float cosine = gm_flush(gm_flush(ab * of_a) * of_b);
    float along = gm_flush(cosine * gm_flush(of_a * of_a)), towards = gm_flush(of_a * of_b);
    for (uint c = LANE; c < columns; c += LANES) {
        float d = gm_flush(gm_flush(a[at0 + at + c] * along) - gm_flush(b[at1 + at + c] * towards));
        da[at4 + at + c] = is_none ? gm_float(0u) : gm_flush(d * weight);
    }
    if (LANE == 0u)
        loss[at3 + row] = is_none ? gm_float(GM_ONE) : gm_flush(gm_float(GM_ONE) - cosine);
}
