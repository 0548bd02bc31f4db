/* What the attention_panel kernels share. Processors do products best from registers, without shared memory: attention
 * is done there as a few products over panels of bounded size, with the same order of additions as the fused kernels. */
#ifndef SHADERS_PANEL_GLSL
#define SHADERS_PANEL_GLSL

#include "shaders/include/score.glsl"

const uint TALL = 16u; /* rows a lane; what causality leaves out is left out by whole tiles of this many */

/* First element of row i of a head of plane z in [b, s, all_heads, width]. */
uint at_row(uint z, uint i, uint all_heads, uint h, uint stride)
{
    return ((z / heads * sequence + i) * all_heads + h) * stride;
}

#endif
