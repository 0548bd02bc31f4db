/* Turns each pair of a head, its first half with its second: y1 = x1 * c - x2 * n, y2 = x2 * c + x1 * n.
 * x, y [batch, sequence, heads * 2 * frequencies], table [sequence, 2, frequencies]. */
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
    uint i = GROUP * 64u + LANE;
    if (i >= batch * sequence * heads * frequencies)
        return;
    uint j = i % frequencies, head = i / frequencies, p = head / heads % sequence;
    uint low = head * 2u * frequencies + j, high = low + frequencies, at = at1 + p * 2u * frequencies + j;
    float c = table[at], n = gm_float(gm_bits(table[at + frequencies]) ^ flip);
    float x1 = x[at0 + low], x2 = x[at0 + high];
    y[at2 + low] = gm_flush(x1 * c - x2 * n);
    y[at2 + high] = gm_flush(x2 * c + x1 * n);
}
