/* Which rows of which head a group works on, and which it walks over: TILE fixed rows against WALK others at a time, both
 * constants of who includes this. */
#ifndef SHADERS_HEADS_GLSL
#define SHADERS_HEADS_GLSL

#include "shaders/include/score.glsl"

uint sequence_of, head, kv_head, tile_row, chunk;

/* Finds what this group works on, with `over` heads of fixed rows; false when it is a group beyond the last. */
bool locate(uint over)
{
    uint tiles = (sequence + TILE - 1u) / TILE, rest = GROUP;
    chunk = rest % chunks;
    rest = rest / chunks;
    tile_row = rest % tiles * TILE;
    rest = rest / tiles;
    head = rest % over;
    kv_head = over == heads ? head / share : head;
    sequence_of = rest / over;
    return sequence_of < batch;
}

/* First element of row i of a head in [b, s, all_heads, width]; a row beyond the last is the last. */
uint at_row(uint i, uint all_heads, uint h, uint width)
{
    return ((sequence_of * sequence + smaller(i, sequence - 1u)) * all_heads + h) * width;
}

bool visible(uint query, uint key)
{
    return query < sequence && key < sequence && (causal == 0u || (key <= query && query - key < window));
}

/* First of the WALK keys that the first query of this group looks at, and the end of the queries that see a key of it. */
uint walk_start()
{
    return first_key(tile_row) / WALK * WALK;
}

uint walk_end()
{
    return sequence - tile_row > TILE && window < sequence - tile_row - TILE ? tile_row + TILE + window : sequence;
}

#endif
