/* Turns each pair of a head, its first half with its second: y1 = x1 * c - x2 * n, y2 = x2 * c + x1 * n.
 * x, y [batch, sequence, heads * 2 * frequencies], table [sequence, 2, frequencies]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rotary.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint QUADS = 0u; /* not 0: four pairs a lane; everything lies at multiples of four */
READS(0, float, x);
READS_QUADS(0, x4);
READS(1, float, table);
READS_QUADS(1, table4);
WRITES(2, float, y);
WRITES_QUADS(2, y4);

vec4 flipped(vec4 n)
{
    return vec4(gm_float(gm_bits(n.x) ^ flip), gm_float(gm_bits(n.y) ^ flip), gm_float(gm_bits(n.z) ^ flip),
                gm_float(gm_bits(n.w) ^ flip));
}

void main()
{
    uint i = (GROUP * 64u + LANE) * (QUADS != 0u ? 4u : 1u);
    if (i >= batch * sequence * heads * frequencies)
        return;
    uint j = i % frequencies, head = i / frequencies, p = head / heads % sequence;
    uint low = head * 2u * frequencies + j, high = low + frequencies, at = at1 + p * 2u * frequencies + j;
    if (QUADS != 0u) {
        vec4 c = table4[at / 4u], n = flipped(table4[(at + frequencies) / 4u]);
        vec4 x1 = x4[(at0 + low) / 4u], x2 = x4[(at0 + high) / 4u];
        y4[(at2 + low) / 4u] = flush_quad(x1 * c - x2 * n);
        y4[(at2 + high) / 4u] = flush_quad(x2 * c + x1 * n);
    } else {
        float c = table[at], n = gm_float(gm_bits(table[at + frequencies]) ^ flip);
        float x1 = x[at0 + low], x2 = x[at0 + high];
        y[at2 + low] = gm_flush(x1 * c - x2 * n);
        y[at2 + high] = gm_flush(x2 * c + x1 * n);
    }
}
