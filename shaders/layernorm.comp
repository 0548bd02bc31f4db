/* m[t] = mean of x; r[t] = rsqrt(mean of (x - m)^2 + epsilon); y = ((x - m) * r) * w,
 * and z, if any. x, y, z [rows, columns], w [columns], m, r [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/rows.glsl"

READS(0, float, x);
READS_QUADS(0, x4);
READS(1, float, w);
READS_QUADS(1, w4);
WRITES(2, float, y);
WRITES_QUADS(2, y4);
WRITES(3, float, m);
WRITES(4, float, r);
ADDEND(5)

float mean_of(float sum)
{
    return gm_flush(gm_flush(sum) * reciprocal);
}

float scale_of(float squares)
{
    return gm_flush(gm_rsqrt(squares * reciprocal + epsilon));
}

void one_by_one()
{
    uint at = at0 + row * columns;
    SUM_ROW(sum, c, columns, x[at + c])
    float mean = mean_of(sum);
    SUM_ROW(squares, c, columns, gm_flush(x[at + c] - mean) * gm_flush(x[at + c] - mean))
    float scale = scale_of(squares);
    FOR_ROW(c, columns)
        y[at2 + row * columns + c] =
            with_addend(gm_flush(gm_flush(x[at + c] - mean) * scale) * w[at1 + c], row * columns + c);
    if (LANE == 0u) {
        m[at3 + row] = mean;
        r[at4 + row] = scale;
    }
}

void in_quads()
{
    uint at = at0 + row * columns;
    SUM_ROW_QUADS(sum, c, columns, x4[(at + c) / 4u])
    float mean = mean_of(sum);
    SUM_ROW_QUADS(squares, c, columns,
                  flush_quad(x4[(at + c) / 4u] - mean) * flush_quad(x4[(at + c) / 4u] - mean))
    float scale = scale_of(squares);
    FOR_ROW_QUADS(c, columns)
        y4[(at2 + row * columns + c) / 4u] =
            with_addend(flush_quad(flush_quad(x4[(at + c) / 4u] - mean) * scale) * w4[(at1 + c) / 4u], row * columns + c);
    if (QUAD == 0u && is_row) {
        m[at3 + row] = mean;
        r[at4 + row] = scale;
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
