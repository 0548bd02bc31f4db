/* From scores x and products d = do . v: weights p = exp(x - m) * z, in the place of x, and t = p * (d - delta), in the place
 * of d; zeros where the query does not see the key. A group does one row.
 * x, d [planes, rows, columns], stats [b, s, n, 2], delta [b, s, n]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
layout(std430, binding = 0) buffer Scores { float x[]; };
layout(std430, binding = 1) buffer Products { float d[]; };
READS(2, float, stats);
READS(3, float, delta);

void main()
{
    uint row = GROUP;
    if (row >= planes * rows)
        return;
    uint i = first_row + row % rows, z = first_plane + row / rows, from = at_row(z, i, heads, z % heads, 1u);
    float m = stats[at2 + 2u * from], share_of = stats[at2 + 2u * from + 1u], shift = delta[at3 + from];
    uint seen = causal == 0u ? columns : (i + 1u > first_column ? smaller(columns, i + 1u - first_column) : 0u);
    uint tile = (i / TALL + 1u) * TALL;
    uint written = causal == 0u ? columns : (tile > first_column ? smaller(columns, tile - first_column) : 0u);
    for (uint j = LANE; j < written; j += 8u) {
        uint at = row * columns + j;
        float p = gm_flush(gm_flush(gm_exp(x[at0 + at] - m)) * share_of);
        float t = unbend(gm_flush(p * gm_flush(d[at1 + at] - shift)), x[at0 + at]);
        bool is_seen = j < seen && first_column + j >= first_key(i);
        x[at0 + at] = is_seen ? p : gm_float(0u);
        d[at1 + at] = is_seen ? t : gm_float(0u);
    }
}
