/* The inner loop of all products: a tile of outputs, each the sum of one block of at most 512 terms.
 *
 * c[i][n] = sum over k ascending of a[i * a_row + k * a_column] * b[k * b_row + n], from +0, for at most
 * TILE_ROWS rows and the columns of one panel. Lanes are outputs, so the order of additions is the scalar
 * one. One of a_row and a_column is 1. A panel is `width` columns wide (LANES or TILE_COLUMNS), all of them
 * readable; the first `columns` are stored. */
#ifndef BACKEND_CPU_KERNELS_TILE_H
#define BACKEND_CPU_KERNELS_TILE_H

#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/vector.h"

enum {
    PRODUCT_BLOCK = 512,
    TILE_VECTORS = 2,
    TILE_COLUMNS = TILE_VECTORS * LANES,
    TILE_ROWS = VECTOR_REGISTERS == 32 ? 12 : 6, /* accumulators fill 24 of 32, or 12 of 16 registers */
};

enum tile_blocks {
    TILE_INNER = 0,
    TILE_FIRST = 1,     /* c = block, else c = c + block */
    TILE_LAST = 2,      /* flush what is stored */
    TILE_SCALED = 4,    /* with LAST: store F(F(c) * scale) */
    TILE_CONTINUED = 8, /* with FIRST: the accumulators start from c, which has the sum of the terms before */
};

struct tile {
    const real *a;
    int64_t a_row, a_column;
    const real *b;
    int64_t b_row;
    int64_t depth; /* 1 .. PRODUCT_BLOCK */
    real *c;
    int64_t c_row;
    int rows, columns, width;
    int64_t panels, b_panel; /* neighbouring panels, so far apart in b; more than one only when full */
    real scale;
    uint least; /* scaled_least(scale) */
    enum tile_blocks blocks;
};

#define tile_block KERNEL(tile_block)
#define tile_contract KERNEL(tile_contract)

void tile_block(const struct tile *tile);

/* The product of any depth, blocks starting at k = 0: a and b point at k = 0, tile->depth and blocks are not
 * read. Terms outside of [first, end) are zero and skipped. `last` is TILE_LAST to flush the result or
 * TILE_INNER. */
void tile_contract(const struct tile *tile, int64_t first, int64_t end, enum tile_blocks last);

/* Panels: an operand b(k, n) = from[k * row + n * column] copied to to[panel][k][width], zero beyond
 * `columns`. */
struct panels {
    const real *from;
    int64_t row, column;
    int64_t depth, columns;
    int64_t width;
    bool narrows; /* the last panel has LANES columns where they are enough */
    real *to;
};

/* Of the panel that starts at column `first`. */
static inline int64_t panel_width(const struct panels *panels, int64_t first)
{
    return panels->narrows && panels->columns - first <= LANES ? LANES : panels->width;
}

#define panels_pack KERNEL(panels_pack)
void panels_pack(const struct panels *panels, int64_t first_panel, int64_t end_panel);

static inline int64_t panels_count(int64_t columns, int64_t width)
{
    return (columns + width - 1) / width;
}

/* Elements of all panels. */
static inline int64_t panels_size(int64_t depth, int64_t columns, int64_t width)
{
    return panels_count(columns, width) * depth * width;
}

/* A narrow panel where it is enough. */
static inline int64_t panels_width(int64_t columns)
{
    return columns <= LANES ? LANES : TILE_COLUMNS;
}

#endif
