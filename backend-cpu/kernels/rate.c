/* A piece of work by which builds are compared: products of full tiles whose operands are in the first cache.
 */
#include "backend-cpu/kernels/tile.h"

enum { DEPTH = 128, TILES = 16 };

int64_t KERNEL(rate)(void)
{
    static real a[DEPTH * TILE_ROWS], b[DEPTH * TILE_COLUMNS];
    real c[TILE_ROWS * TILE_COLUMNS];
    struct tile tile = {.a = a,
                        .a_row = 1,
                        .a_column = TILE_ROWS,
                        .b = b,
                        .b_row = TILE_COLUMNS,
                        .depth = DEPTH,
                        .c = c,
                        .c_row = TILE_COLUMNS,
                        .rows = TILE_ROWS,
                        .columns = TILE_COLUMNS,
                        .width = TILE_COLUMNS,
                        .panels = 1,
                        .blocks = TILE_FIRST | TILE_LAST};
    for (int i = 0; i < TILES; i++)
        tile_block(&tile);
    return (int64_t)TILES * DEPTH * TILE_ROWS * TILE_COLUMNS;
}
