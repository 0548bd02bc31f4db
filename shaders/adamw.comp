/* One AdamW step of one tensor. Loshchilov and Hutter 2019, algorithm 2; hyper as in ir/ops.def.
 * w, g, m, v and the results [count], hyper [16], clip [2]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, w);
READS(1, float, g);
READS(2, float, m);
READS(3, float, v);
READS(4, float, hyper);
READS(5, float, clip);
WRITES(6, float, w_new);
WRITES(7, float, m_new);
WRITES(8, float, v_new);

#define HYPER(j) hyper[at4 + j]

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    float slope = gm_flush(g[at1 + i] * clip[at5]);
    float mean = gm_flush(HYPER(1u) * m[at2 + i] + HYPER(2u) * slope);
    float square = gm_flush_square(HYPER(3u) * v[at3 + i] + HYPER(4u) * (slope * slope));
    float root = gm_flush(gm_sqrt(square * HYPER(6u))) + HYPER(7u);
    float u = gm_flush(gm_flush(mean * HYPER(5u)) * gm_flush(gm_rcp(root)));
    float old = w[at0 + i];
    float kept = decay != 0u ? HYPER(8u) * old : old;
    w_new[at6 + i] = gm_flush(kept - gm_flush(HYPER(0u) * u));
    m_new[at7 + i] = mean;
    v_new[at8 + i] = square;
}
