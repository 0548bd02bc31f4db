/* Turns pairs of the first 2 * frequencies elements of each head, the rest stays: y1 = x1 * c - x2 * n, y2 = x2 * c + x1 * n.
 * x, y [batch, sequence, heads * (2 * frequencies + rest)], table [sequence, 2, frequencies]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rotary.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
READS(1, float, table);
WRITES(2, float, y);

void main()
{
    uint i = GROUP * 64u + LANE, size = 2u * frequencies + rest;
    if (i >= batch * sequence * heads * size)
        return;
    uint e = i % size, p = i / size / heads % sequence;
    bool high = e >= frequencies;
    uint j = high ? e - frequencies : e;
    if (e >= 2u * frequencies) {
        y[at2 + i] = x[at0 + i];
    } else {
        uint at = at1 + p * 2u * frequencies + j, low = i - e + j;
        float c = table[at], n = gm_float(gm_bits(table[at + frequencies]) ^ flip);
        float x1 = x[at0 + low], x2 = x[at0 + low + frequencies];
        y[at2 + i] = gm_flush(high ? x2 * c + x1 * n : x1 * c - x2 * n);
    }
}
