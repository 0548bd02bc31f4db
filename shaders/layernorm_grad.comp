/* dx = r * (g - mean of g - h * (mean of g * h)) with h = (x - m) * r and g = dy * w; and z, if
 * any. x, dy, dx, z [rows, columns], w [columns], m, r [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/rows.glsl"

READS(0, float, x);
READS_QUADS(0, x4);
READS(1, float, w);
READS_QUADS(1, w4);
READS(2, float, m);
READS(3, float, r);
READS(4, float, dy);
READS_QUADS(4, dy4);
WRITES(5, float, dx);
WRITES_QUADS(5, dx4);
ADDEND(6)

float mean, scale;

float h_of(uint c)
{
    return gm_flush(gm_flush(x[at0 + row * columns + c] - mean) * scale);
}

float g_of(uint c)
{
    return gm_flush(dy[at4 + row * columns + c] * w[at1 + c]);
}

vec4 h4_of(uint c)
{
    return flush_quad(flush_quad(x4[(at0 + row * columns + c) / 4u] - mean) * scale);
}

vec4 g4_of(uint c)
{
    return flush_quad(dy4[(at4 + row * columns + c) / 4u] * w4[(at1 + c) / 4u]);
}

void one_by_one()
{
    mean = m[at2 + row];
    scale = r[at3 + row];
    SUM_ROW(sum, c, columns, g_of(c))
    SUM_ROW(product, c, columns, g_of(c) * h_of(c))
    float a = gm_flush(gm_flush(sum) * reciprocal);
    float k = gm_flush(gm_flush(product) * reciprocal);
    FOR_ROW(c, columns)
        dx[at5 + row * columns + c] =
            with_addend(scale * gm_flush(gm_flush(g_of(c) - a) - h_of(c) * k), row * columns + c);
}

void in_quads()
{
    mean = m[at2 + row];
    scale = r[at3 + row];
    SUM_ROW_QUADS(sum, c, columns, g4_of(c))
    SUM_ROW_QUADS(product, c, columns, g4_of(c) * h4_of(c))
    float a = gm_flush(gm_flush(sum) * reciprocal);
    float k = gm_flush(gm_flush(product) * reciprocal);
    FOR_ROW_QUADS(c, columns)
        dx4[(at5 + row * columns + c) / 4u] =
            with_addend(scale * flush_quad(flush_quad(g4_of(c) - a) - h4_of(c) * k), row * columns + c);
}

void main()
{
    if (!find_row(rows))
        return;
    if (QUADS != 0u)
        in_quads();
    else
        one_by_one();
}
