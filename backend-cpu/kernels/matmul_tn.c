/* The product that contracts over rows, as gradients of weights do over tokens: often far deeper than its
 * result is large. Then threads take blocks of 512 terms, each into a partial result of its own, which are
 * added in their order at the end; both operands are read and packed once. */
#include "backend-cpu/kernels/product.h"

enum {
    GROUP_ROWS = 192,       /* 192 x 512 floats of a fit the second cache with a panel of b */
    MOST_PARTIAL = 1 << 22, /* elements of all partial results */
    MOST_COLUMNS = 1024,    /* 512 rows of b, packed by each thread */
};

struct deep {
    const struct product *product;
    real *partial; /* [blocks, rows, columns] */
    int64_t blocks;
};

static void multiply_group(const struct product *p, const real *a, const real *b, int64_t rows, int64_t depth,
                           real *c)
{
    struct tile tile = {.a_row = 1,
                        .a_column = TILE_ROWS,
                        .depth = depth,
                        .c_row = p->columns,
                        .panels = 1,
                        .blocks = TILE_FIRST};
    for (int64_t n = 0; n < p->columns; n += TILE_COLUMNS) {
        tile.b = b + n * depth;
        tile.b_row = panel_width(&p->b, n);
        tile.width = (int)tile.b_row;
        tile.columns = (int)least(tile.b_row, p->columns - n);
        for (int64_t i = 0; i < rows; i += TILE_ROWS) {
            tile.rows = (int)least(TILE_ROWS, rows - i);
            tile.a = a + i * depth;
            tile.c = c + i * p->columns + n;
            tile_block(&tile);
        }
    }
}

static void multiply_blocks(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct deep *deep = payload;
    const struct product *p = deep->product;
    int64_t room = panels_size(PRODUCT_BLOCK, p->columns, TILE_COLUMNS);
    real *b = cpu_threads_scratch(p->threads, thread,
                                  sizeof(real) * (size_t)(room + (GROUP_ROWS + TILE_ROWS) * PRODUCT_BLOCK));
    real *a = b + room;
    for (int64_t block = first; block < end; block++) {
        int64_t k = block * PRODUCT_BLOCK, depth = least(PRODUCT_BLOCK, p->depth - k);
        struct panels panels = p->b;
        panels.from += k * panels.row;
        panels.depth = depth;
        panels.to = b;
        panels_pack(&panels, 0, panels_count(p->columns, TILE_COLUMNS));
        for (int64_t row = 0; row < p->rows; row += GROUP_ROWS) {
            int64_t rows = least(GROUP_ROWS, p->rows - row);
            product_pack(p, a, row, rows, k, depth);
            multiply_group(p, a, b, rows, depth, deep->partial + (block * p->rows + row) * p->columns);
        }
    }
}

static void add_blocks(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct deep *deep = payload;
    int64_t size = deep->product->rows * deep->product->columns;
    real *y = deep->product->c;
    memcpy(y + first, deep->partial + first, (size_t)(end - first) * sizeof *y);
    for (int64_t b = 1; b < deep->blocks; b++) {
        const real *block = deep->partial + b * size;
        ELEMENTWISE
        for (int64_t i = first; i < end; i++)
            y[i] = y[i] + block[i];
    }
    ELEMENTWISE
    for (int64_t i = first; i < end; i++)
        y[i] = r_flush(y[i]);
}

static void multiply_deep(const struct product *p, int64_t blocks)
{
    struct deep deep = {.product = p, .blocks = blocks};
    int64_t size = p->rows * p->columns;
    deep.partial =
        cpu_threads_scratch(p->threads, CPU_SCRATCH_SHARED, sizeof(real) * (size_t)(blocks * size));
    cpu_threads_for(p->threads, blocks, 1, multiply_blocks, &deep);
    cpu_threads_for(p->threads, size, kernel_grain(blocks), add_blocks, &deep);
}

void KERNEL(matmul_tn)(struct kernel_call *call)
{
    int64_t rows = kernel_last_dim(&call->inputs[0]), columns = kernel_last_dim(&call->inputs[1]);
    int64_t depth = kernel_rows(&call->inputs[0]);
    struct product p = {.a = kernel_input(call, 0),
                        .a_row = 1,
                        .a_column = rows,
                        .c = kernel_result(call, 0),
                        .rows = rows,
                        .columns = columns,
                        .depth = depth,
                        .b = {.from = kernel_input(call, 1),
                              .row = columns,
                              .column = 1,
                              .depth = depth,
                              .columns = columns,
                              .width = TILE_COLUMNS,
                              .narrows = true},
                        .threads = call->threads};
    int64_t blocks = (depth + PRODUCT_BLOCK - 1) / PRODUCT_BLOCK;
    if (blocks >= 2 * (int64_t)cpu_threads_count(p.threads) && columns <= MOST_COLUMNS &&
        blocks * rows * columns <= MOST_PARTIAL)
        multiply_deep(&p, blocks);
    else
        product_multiply(&p);
}
