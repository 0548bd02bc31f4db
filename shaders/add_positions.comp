/* y = x + table[start + position]. x, y [batch, length, columns] with batch * length rows, table [.., columns]; `first` is
 * the first element of the table that is read, `period` the elements of one sequence. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 64) in;
READS(0, float, x);
READS(1, float, table);
WRITES(2, float, y);

void main()
{
    uint i = GROUP * 64u + LANE;
    if (i >= count)
        return;
    y[at2 + i] = gm_flush(x[at0 + i] + table[at1 + first + i % period]);
}
