/* Softmax of the rows of a panel of scores: weights exp(score - m) take their place, zeros where a tile reaches beyond what a
 * query sees. A lane does a whole row and keeps the 64 sums of its row reduction, since barriers are dear on processors.
 * panel [planes, rows, columns], all keys of a query -> panel, stats [b, s, n, 2] = (m, 1 / sum of weights). */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/panel.glsl"

layout(local_size_x = 8) in;
layout(std430, binding = 0) buffer Panel { float panel[]; };
WRITES(1, float, stats);

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
    uint i = first_row + row % rows, z = first_plane + row / rows, at = at0 + row * columns;
    uint seen = causal != 0u ? i + 1u : columns, written = smaller(columns, (seen + TALL - 1u) / TALL * TALL);
    uint first = first_key(i);
    float m = panel[at + first];
    for (uint j = first + 1u; j < seen; j++)
        m = gm_max(m, panel[at + j]);
    vec4 s[16];
    for (uint q = 0u; q < 16u; q++)
        s[q] = vec4(gm_float(0u));
    for (uint j = 0u; j < written; j += 64u) {
        uint quads = smaller(16u, (written - j + 3u) / 4u);
        for (uint q = 0u; q < quads; q++)
            for (uint e = 0u; e < 4u; e++) {
                uint key = j + 4u * q + e;
                float x = panel[at + smaller(key, columns - 1u)];
                float w = key >= first && key < seen ? gm_flush(gm_exp(x - m)) : gm_float(0u);
                s[q][e] = s[q][e] + w;
                if (key < written)
                    panel[at + key] = w;
            }
    }
    uint to = at1 + at_row(z, i, heads, z % heads, 2u);
    stats[to] = gm_flush(m);
    stats[to + 1u] = gm_flush(gm_rcp(sum_of(s)));
}
