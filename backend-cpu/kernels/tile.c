/* The tile of outputs that all products are made of. Each combination of row count, panel width and layout of
 * a is its own unrolled loop, whose accumulators stay in registers. */
#include "backend-cpu/kernels/tile.h"
#include "backend-cpu/kernels/transpose.h"

#define ALWAYS_INLINE __attribute__((always_inline))
#define UNROLL_ROWS _Pragma("GCC unroll 12")
#define UNROLL_VECTORS _Pragma("GCC unroll 2")

enum tile_layout { A_ROWS, A_COLUMNS }; /* a_column is 1, a_row is 1 */

/* How full tiles store a vector. */
static inline ALWAYS_INLINE void store(const struct tile *tile, real *to, vec sum, enum tile_blocks blocks)
{
    if (!(blocks & TILE_FIRST))
        sum = vec_load(to) + sum;
    if (blocks & TILE_LAST)
        sum = blocks & TILE_SCALED ? vec_flush_scaled(sum, tile->scale, tile->least) : vec_flush(sum);
    vec_store(to, sum);
}

/* One plain loop for each way to store. */
static inline ALWAYS_INLINE void store_full(const struct tile *tile, real *c,
                                            vec sum[TILE_ROWS][TILE_VECTORS], int rows, int vectors)
{
#define EACH(blocks)                  \
    UNROLL_ROWS                       \
    for (int i = 0; i < rows; i++)    \
        UNROLL_VECTORS                \
    for (int v = 0; v < vectors; v++) \
    store(tile, c + i * tile->c_row + v * LANES, sum[i][v], (enum tile_blocks)(blocks))
    switch ((int)tile->blocks & ~TILE_CONTINUED) {
    case TILE_FIRST | TILE_LAST:
        EACH(TILE_FIRST | TILE_LAST);
        break;
    case TILE_FIRST | TILE_LAST | TILE_SCALED:
        EACH(TILE_FIRST | TILE_LAST | TILE_SCALED);
        break;
    case TILE_FIRST:
        EACH(TILE_FIRST);
        break;
    case TILE_LAST:
        EACH(TILE_LAST);
        break;
    case TILE_LAST | TILE_SCALED:
        EACH(TILE_LAST | TILE_SCALED);
        break;
    default:
        EACH(TILE_INNER);
    }
#undef EACH
}

static real finish(const struct tile *tile, real sum)
{
    if (!(tile->blocks & TILE_LAST))
        return sum;
    return tile->blocks & TILE_SCALED ? r_flush(r_flush(sum) * tile->scale) : r_flush(sum);
}

static void store_part(const struct tile *tile, real *c, vec sum[TILE_ROWS][TILE_VECTORS])
{
    for (int i = 0; i < tile->rows; i++)
        for (int n = 0; n < tile->columns; n++) {
            real *to = c + i * tile->c_row + n, block = sum[i][n / LANES][n % LANES];
            *to = finish(tile, tile->blocks & TILE_FIRST ? block : *to + block);
        }
}

/* rows, vectors and layout are constants wherever this is inlined. */
static inline ALWAYS_INLINE void sum_panel(const struct tile *tile, const real *b, real *c, int rows,
                                           int vectors, enum tile_layout layout)
{
    vec running[TILE_ROWS][TILE_VECTORS], sum[TILE_ROWS][TILE_VECTORS]; /* registers; memory for storing */
    const real *a = tile->a;
    int64_t step = layout == A_ROWS ? tile->a_row : 1;
    int64_t stride = layout == A_ROWS ? 1 : tile->a_column;
    UNROLL_ROWS
    for (int i = 0; i < rows; i++)
        UNROLL_VECTORS
    for (int v = 0; v < vectors; v++)
        running[i][v] = (vec){0};
    for (int i = 0; i < rows; i++)
        __builtin_prefetch(c + i * tile->c_row, 1);
    if (tile->blocks & TILE_CONTINUED)
        UNROLL_ROWS
    for (int i = 0; i < rows; i++)
        UNROLL_VECTORS
    for (int v = 0; v < vectors; v++)
        running[i][v] = vec_load(c + i * tile->c_row + v * LANES);
    for (int64_t k = 0; k < tile->depth; k++) {
        vec column[TILE_VECTORS];
        UNROLL_VECTORS
        for (int v = 0; v < vectors; v++)
            column[v] = vec_load(b + v * LANES);
        UNROLL_ROWS
        for (int i = 0; i < rows; i++) {
            vec row = vec_broadcast(a + i * step);
            UNROLL_VECTORS
            for (int v = 0; v < vectors; v++)
                running[i][v] = running[i][v] + row * column[v];
        }
        a += stride;
        b += tile->b_row;
    }
    UNROLL_ROWS
    for (int i = 0; i < rows; i++)
        UNROLL_VECTORS
    for (int v = 0; v < vectors; v++)
        sum[i][v] = running[i][v];
    if (tile->columns == vectors * LANES)
        store_full(tile, c, sum, rows, vectors);
    else
        store_part(tile, c, sum);
}

static inline ALWAYS_INLINE void sum_block(const struct tile *tile, int rows, int vectors,
                                           enum tile_layout layout)
{
    for (int64_t p = 0; p < tile->panels; p++)
        sum_panel(tile, tile->b + p * tile->b_panel, tile->c + p * vectors * LANES, rows, vectors, layout);
}

static inline ALWAYS_INLINE void choose_layout(const struct tile *tile, int rows, int vectors)
{
    if (tile->a_column == 1)
        sum_block(tile, rows, vectors, A_ROWS);
    else
        sum_block(tile, rows, vectors, A_COLUMNS);
}

static inline ALWAYS_INLINE void choose_width(const struct tile *tile, int rows)
{
    if (tile->width == LANES)
        choose_layout(tile, rows, 1);
    else
        choose_layout(tile, rows, TILE_VECTORS);
}

void tile_block(const struct tile *tile)
{
    switch (tile->rows) {
#define ROWS(n)                \
    case n:                    \
        choose_width(tile, n); \
        break;
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
#if VECTOR_REGISTERS == 32
        ROWS(7)
        ROWS(8)
        ROWS(9)
        ROWS(10)
        ROWS(11)
        ROWS(12)
#endif
#undef ROWS
    default:
        BUG("a tile of %d rows", tile->rows);
    }
}

void tile_contract(const struct tile *tile, int64_t first, int64_t end, enum tile_blocks last)
{
    struct tile block = *tile;
    for (int64_t k = first; k < end; k += block.depth) {
        block.a = tile->a + k * tile->a_column;
        block.b = tile->b + k * tile->b_row;
        block.depth = least((k / PRODUCT_BLOCK + 1) * PRODUCT_BLOCK, end) - k;
        block.blocks = (k == first ? TILE_FIRST : TILE_INNER) | (k + block.depth == end ? last : TILE_INNER);
        tile_block(&block);
    }
}

static void pack_straight(const struct panels *panels, real *to, int64_t width, int64_t first,
                          int64_t columns)
{
    for (int64_t k = 0; k < panels->depth; k++) {
        const real *from = panels->from + k * panels->row + first * panels->column;
        real *row = to + k * width;
        if (panels->column == 1 && columns == TILE_COLUMNS)
            memcpy(row, from, TILE_COLUMNS * sizeof *row); /* a size that compilers know: two moves */
        else if (panels->column == 1)
            memcpy(row, from, (size_t)columns * sizeof *row);
        else
            for (int64_t n = 0; n < columns; n++)
                row[n] = from[n * panels->column];
    }
}

void panels_pack(const struct panels *panels, int64_t first_panel, int64_t end_panel)
{
    for (int64_t p = first_panel; p < end_panel; p++) {
        real *to = panels->to + p * panels->depth * panels->width;
        int64_t first = p * panels->width, width = panel_width(panels, first),
                columns = least(width, panels->columns - first);
        if (columns < width)
            memset(to, 0, (size_t)(panels->depth * width) * sizeof *to);
        if (panels->row == 1)
            transpose(to, width, panels->from + first * panels->column, panels->column, columns,
                      panels->depth);
        else
            pack_straight(panels, to, width, first, columns);
    }
}
