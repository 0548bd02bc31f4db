/* Row ids[t] of y = sum over the t with that id, in blocks of 512 t, of dy[t]. The lane of the chain's first t walks it.
 * ids, next [rows], dy [rows, columns] -> `columns` columns of y [length, stride], of which `held` rows from `first` on
 * are bound, zeroed. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, uint, ids);
READS(1, uint, next);
READS(2, float, dy);
WRITES(3, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= rows * columns)
        return;
    uint t = i / columns, c = i % columns, id = ids[at0 + t], link = next[at1 + t];
    if (link >= 0x80000000u || id >= length || id - first >= held)
        return;
    float total = gm_float(0u), s = gm_float(0u);
    while (t < rows) {
        s = s + dy[at2 + t * columns + c];
        uint after = link & 0x7fffffffu;
        if (after / BLOCK != t / BLOCK) {
            total = total + s;
            s = gm_float(0u);
        }
        t = after;
        link = next[at1 + smaller(t, rows - 1u)];
    }
    y[at3 + (id - first) * stride + c] = gm_flush(total + s);
}
