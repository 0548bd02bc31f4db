/* What the attention_panel kernels share. Processors do products best from registers, without shared memory: attention
 * is done there as a few products over panels of bounded size, with the same order of additions as the fused kernels.
 * Rows of a panel start at multiples of 8, so that four keys are read at a time; so are operands where FOUR is not 0. */
#ifndef SHADERS_PANEL_GLSL
#define SHADERS_PANEL_GLSL

#include "shaders/include/constants.h"
#include "shaders/include/score.glsl"

layout(constant_id = PANEL_FOUR) const uint FOUR = 0u; /* widths and starts of operands come to multiples of 4 */

const uint TILE = 64u; /* what causality leaves out is left out by whole tiles of so many queries and keys */
const uint DOWN = 8u, QUADS = 4u; /* outputs of a lane, attention_panel_apply and _gather: rows, times four columns */

/* First element of row i of a head of plane z in [b, s, all_heads, width]. */
uint at_row(uint z, uint i, uint all_heads, uint h, uint stride)
{
    return ((z / heads * sequence + i) * all_heads + h) * stride;
}

/* Elements from a row of the panel to the next. */
uint panel_row()
{
    return (columns + 7u) / 8u * 8u;
}

/* Four columns from c on, of a row of x that begins at `at`; the last ones for what lies beyond. */
#define FOUR_COLUMNS(x, x4, at, c)                                                                           \
    (FOUR != 0u ? x4[((at) + smaller(c, width - 4u)) / 4u]                                                   \
                : vec4(x[(at) + smaller(c, width - 1u)], x[(at) + smaller((c) + 1u, width - 1u)],            \
                       x[(at) + smaller((c) + 2u, width - 1u)], x[(at) + smaller((c) + 3u, width - 1u)]))

#endif
