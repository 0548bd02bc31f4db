/* What the attention_lane kernels share. A lane does ROWS rows of a head alone, in registers, and a group of eight lanes walks the
 * other side, four rows at a time: those are the same for all lanes, so a processor loads each element once and spreads it,
 * for ROWS vectors of lanes. Rows of a lane are eight apart, so what causality hides is left out by eights. The order of
 * additions is that of the fused kernels. */
#ifndef SHADERS_LANE_GLSL
#define SHADERS_LANE_GLSL

#include "shaders/include/constants.h"

layout(local_size_x = 8) in;
layout(constant_id = LANE_FOUR) const uint FOUR = 0u; /* widths and starts of operands come to multiples of 4 */
layout(constant_id = LANE_KEY_QUADS) const uint KEY_QUADS = 4u; /* that a row of q or k fills, with zeros at its end */
layout(constant_id = LANE_VALUE_QUADS) const uint VALUE_QUADS = 4u; /* and one of v or o */
layout(constant_id = LANE_ROWS) const uint ROWS = 4u;
layout(constant_id = LANE_BENT) const uint BENT = 0u; /* scores have a softcap or slopes */

const uint TILE = 8u * ROWS; /* rows of a group */
const uint WALK = 8u;

#include "shaders/include/heads.glsl"

uint plane; /* of a panel with `planes` of them: of the group's head, or of the first of its heads */

/* Finds the tile of rows of this group, which has so many heads; false when it is a group beyond the last. */
bool locate_tile(uint count)
{
    uint tiles = (rows + TILE - 1u) / TILE;
    tile_row = first_row + GROUP % tiles * TILE;
    plane = GROUP / tiles * count;
    head = (first_plane + plane) % heads;
    kv_head = head / share;
    sequence_of = (first_plane + plane) / heads;
    return plane < planes;
}

/* Elements from a row of the panel to the next. */
uint panel_row()
{
    return (columns + 7u) / 8u * 8u;
}

/* This lane's row r of the tile. */
uint lane_row(uint r)
{
    return tile_row + 8u * r + LANE;
}

#define SCORE(x, slope, i, j) (BENT != 0u ? score_of(x, slope, i, j) : gm_flush(gm_flush(x) * scale))
#define UNBEND(t, score) (BENT != 0u ? unbend(t, score) : (t))

#define ELEMENT(x, at, c, width) ((c) < (width) ? x[(at) + (c)] : gm_float(0u))

/* Elements c .. c + 3 of the row of x that begins at `at`. */
#define QUAD(x, x4, at, c, width)                                                                            \
    (FOUR != 0u ? x4[((at) + (c)) / 4u]                                                                      \
                : vec4(ELEMENT(x, at, c, width), ELEMENT(x, at, (c) + 1u, width),                            \
                       ELEMENT(x, at, (c) + 2u, width), ELEMENT(x, at, (c) + 3u, width)))

/* s += u . v, the terms one after the other. */
#define ADD_DOT(s, u, v)   \
    s = s + (u).x * (v).x; \
    s = s + (u).y * (v).y; \
    s = s + (u).z * (v).z; \
    s = s + (u).w * (v).w;

#endif
