/* From products x = q . k, which make scores, and d = do . v: weights p = exp(x - m) * z, in the place of x, and t = p * (d - delta), in the place
 * of d; zeros where the query does not see the key. A group does one row.
 * x, d [planes, rows, columns], stats [b, s, n, 2], delta [b, s, n]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
layout(std430, binding = 0) buffer Dots { vec4 x[]; };
layout(std430, binding = 1) buffer Products { vec4 d[]; };
READS(2, float, stats);
READS(3, float, delta);
READS(4, float, slopes);

void main()
{
    uint row = GROUP;
    if (row >= planes * rows)
        return;
    uint i = first_row + row % rows, z = first_plane + row / rows, from = at_row(z, i, heads, z % heads, 1u);
    float m = stats[at2 + 2u * from], share_of = stats[at2 + 2u * from + 1u], shift = delta[at3 + from];
    float slope = slopes[at4 + (sloped != 0u ? z % heads : 0u)];
    uint seen = causal == 0u ? columns : (i + 1u > first_column ? smaller(columns, i + 1u - first_column) : 0u);
    uint tile = (i / TILE + 1u) * TILE;
    uint written = causal == 0u ? panel_row() : (tile > first_column ? smaller(panel_row(), tile - first_column) : 0u);
    for (uint j = LANE * 4u; j < written; j += 32u) {
        uint at = (row * panel_row() + j) / 4u;
        vec4 dots = x[at0 / 4u + at], products = d[at1 / 4u + at], p, t;
        for (uint e = 0u; e < 4u; e++) {
            float score = score_of(dots[e], slope, i, first_column + j + e);
            float share = gm_flush(gm_flush(gm_exp(score - m)) * share_of);
            bool is_seen = j + e < seen && first_column + j + e >= first_key(i);
            p[e] = is_seen ? share : gm_float(0u);
            t[e] = is_seen ? unbend(gm_flush(share * gm_flush(products[e] - shift)), score) : gm_float(0u);
        }
        x[at0 / 4u + at] = p;
        d[at1 / 4u + at] = t;
    }
}
