/* dx = r * g - x * (mean of g * x) * r^3 with g = dy * w, and z, if any. x, dy, dx, z [rows, columns], w [columns], r [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/rows.glsl"

READS(0, float, x);
READS_QUADS(0, x4);
READS(1, float, w);
READS_QUADS(1, w4);
READS(2, float, r);
READS(3, float, dy);
READS_QUADS(3, dy4);
WRITES(4, float, dx);
WRITES_QUADS(4, dx4);
ADDEND(5)

float slope_of(float s, float scale)
{
    float k = gm_flush(gm_flush(s) * reciprocal);
    return gm_flush(gm_flush(k * scale) * gm_flush(scale * scale));
}

void one_by_one()
{
    uint at = row * columns;
    SUM_ROW(s, c, columns, gm_flush(dy[at3 + at + c] * w[at1 + c]) * x[at0 + at + c])
    float scale = r[at2 + row], k = slope_of(s, scale);
    FOR_ROW(c, columns) {
        float g = gm_flush(dy[at3 + at + c] * w[at1 + c]);
        dx[at4 + at + c] = with_addend(scale * g - x[at0 + at + c] * k, at + c);
    }
}

void in_quads()
{
    uint at = row * columns;
    SUM_ROW_QUADS(s, c, columns,
                  flush_quad(dy4[(at3 + at + c) / 4u] * w4[(at1 + c) / 4u]) * x4[(at0 + at + c) / 4u])
    float scale = r[at2 + row], k = slope_of(s, scale);
    FOR_ROW_QUADS(c, columns) {
        vec4 g = flush_quad(dy4[(at3 + at + c) / 4u] * w4[(at1 + c) / 4u]);
        dx4[(at4 + at + c) / 4u] = with_addend(scale * g - x4[(at0 + at + c) / 4u] * k, at + c);
    }
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
