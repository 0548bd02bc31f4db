/* Softmax of the rows of a panel of products of queries and keys: of the scores that they make, weights exp(score - m) take their place, zeros where a tile reaches beyond what a
 * query sees. A lane does a whole row and keeps the 64 sums of its row reduction, since barriers are dear on processors.
 * panel [planes, rows, columns], all keys of a query -> panel, stats [b, s, n, 2] = (m, 1 / sum of weights). */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
layout(std430, binding = 0) buffer Panel { vec4 panel[]; };
WRITES(1, float, stats);
READS(2, float, slopes);

/* Lane l += lane l + h for h = 32, 16, 8, 4, 2, 1, of lanes 4 q + e in s[q][e]. */
float sum_of(vec4 s[16])
{
    for (uint h = 8u; h > 0u; h >>= 1)
        for (uint q = 0u; q < h; q++)
            s[q] = s[q] + s[q + h];
    float low = s[0].x + s[0].z, high = s[0].y + s[0].w;
    return low + high;
}

void main()
{
    uint row = GROUP * 8u + LANE;
    if (row >= planes * rows)
        return;
    uint i = first_row + row % rows, z = first_plane + row / rows, at = (at0 + row * panel_row()) / 4u;
    uint seen = causal != 0u ? i + 1u : columns, written = smaller(panel_row(), (seen + TILE - 1u) / TILE * TILE);
    uint first = first_key(i);
    float slope = slopes[at2 + (sloped != 0u ? z % heads : 0u)], m = LOWEST;
    for (uint j = first / 4u * 4u; j < seen; j += 4u) {
        vec4 x = panel[at + j / 4u];
        for (uint e = 0u; e < 4u; e++) {
            x[e] = score_of(x[e], slope, i, j + e);
            m = j + e >= first && j + e < seen ? gm_max(m, x[e]) : m;
        }
        panel[at + j / 4u] = x;
    }
    for (uint j = 0u; j < written; j += 4u) {
        vec4 x = panel[at + j / 4u];
        for (uint e = 0u; e < 4u; e++)
            x[e] = j + e >= first && j + e < seen ? gm_flush(gm_exp(x[e] - m)) : gm_float(0u);
        panel[at + j / 4u] = x;
    }
    vec4 s[16]; /* apart, for drivers unroll this loop */
    for (uint q = 0u; q < 16u; q++)
        s[q] = vec4(gm_float(0u));
    for (uint j = 0u; j < written; j += 64u)
        for (uint q = 0u; q < 16u; q++)
            if (j + 4u * q < written)
                s[q] = s[q] + panel[at + j / 4u + q];
    uint to = at1 + at_row(z, i, heads, z % heads, 2u);
    stats[to] = gm_flush(m);
    stats[to + 1u] = gm_flush(gm_rcp(sum_of(s)));
}
