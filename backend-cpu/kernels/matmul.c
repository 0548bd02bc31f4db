/* The three matrix products: y[m][n] = P_k a(m, k) * b(k, n).
 *
 * b is packed once per call into panels of TILE_COLUMNS columns; then rectangles of y go to the threads.
 * Within one, blocks of 512 k are the outer loop (y holds the sum of the blocks so far) and a's rows of that
 * block are packed when they are read often enough to pay. All of this moves outputs about and leaves each
 * output's additions in their order. */
#include "backend-cpu/kernels/product.h"
#include "backend-cpu/kernels/transpose.h"

enum {
    MAX_TASK_ROWS = 192, /* 192 x 512 floats of a fit the second cache with a panel of b */
    PACK_COLUMNS = 640, /* below so many columns of y a row-major a is read where it is: packing costs more */
    DIRECT_DEPTH = 512, /* a deeper row-major a has rows a power of two apart, which share cache sets */
};

static void pack_panels_task(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    panels_pack(&((struct product *)payload)->b, first, end);
}

/* a runs along its rows: each is read once from end to end. */
static void pack_columns(real *to, const real *from, int64_t step, int64_t rows, int64_t depth)
{
    for (int64_t j = 0; j < depth; j++, from += step) {
        int64_t i = 0;
        for (; i + TILE_ROWS <= rows; i += TILE_ROWS)
            memcpy(to + i * depth + j * TILE_ROWS, from + i, TILE_ROWS * sizeof *to);
        if (i < rows)
            memcpy(to + i * depth + j * TILE_ROWS, from + i, (size_t)(rows - i) * sizeof *to);
    }
}

void product_pack(const struct product *p, real *to, int64_t row, int64_t rows, int64_t k, int64_t depth)
{
    const real *from = p->a + row * p->a_row + k * p->a_column;
    if (p->a_row == 1)
        pack_columns(to, from, p->a_column, rows, depth);
    else
        for (int64_t i = 0; i < rows; i += TILE_ROWS)
            transpose(to + i * depth, TILE_ROWS, from + i * p->a_row, p->a_row, least(TILE_ROWS, rows - i),
                      depth);
}

struct rectangle {
    int64_t row, rows, panel, panels;
};

static void multiply_block(const struct product *p, struct rectangle r, int64_t k, int64_t depth,
                           real *packed)
{
    struct tile tile = {.depth = depth, .panels = 1, .c_row = p->columns};
    tile.blocks = (k == 0 ? TILE_FIRST : TILE_INNER) | (k + depth == p->depth ? TILE_LAST : TILE_INNER);
    tile.a_row = packed ? 1 : p->a_row;
    tile.a_column = packed ? TILE_ROWS : p->a_column;
    if (packed)
        product_pack(p, packed, r.row, r.rows, k, depth);
    for (int64_t panel = r.panel; panel < r.panel + r.panels; panel++) {
        tile.b_row = panel_width(&p->b, panel * TILE_COLUMNS);
        tile.b = p->b.to + panel * p->depth * TILE_COLUMNS + k * tile.b_row;
        tile.width = (int)tile.b_row;
        tile.columns = (int)least(tile.b_row, p->columns - panel * TILE_COLUMNS);
        for (int64_t i = 0; i < r.rows; i += TILE_ROWS) {
            tile.rows = (int)least(TILE_ROWS, r.rows - i);
            tile.a = packed ? packed + i * depth : p->a + (r.row + i) * p->a_row + k * p->a_column;
            tile.c = p->c + (r.row + i) * p->columns + panel * TILE_COLUMNS;
            tile_block(&tile);
        }
    }
}

static void multiply_task(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct product *p = payload;
    int64_t panels = panels_count(p->columns, TILE_COLUMNS);
    real *packed = NULL;
    if (p->a_row == 1 || p->depth > DIRECT_DEPTH || p->columns >= PACK_COLUMNS)
        packed = cpu_threads_scratch(p->threads, thread,
                                     sizeof(real) * (MAX_TASK_ROWS + TILE_ROWS) * PRODUCT_BLOCK);
    for (int64_t task = first; task < end; task++) {
        struct rectangle r = {.row = task / p->tasks_across * p->task_rows,
                              .panel = task % p->tasks_across * p->task_panels};
        r.rows = least(p->task_rows, p->rows - r.row);
        r.panels = least(p->task_panels, panels - r.panel);
        for (int64_t k = 0; k < p->depth; k += PRODUCT_BLOCK)
            multiply_block(p, r, k, least(PRODUCT_BLOCK, p->depth - k), packed);
    }
}

/* Rectangles: several for each thread, tall rather than wide. */
static void divide(struct product *p)
{
    enum { TASKS_PER_THREAD = 4 };
    int64_t wanted = (int64_t)cpu_threads_count(p->threads) * TASKS_PER_THREAD;
    int64_t panels = panels_count(p->columns, TILE_COLUMNS);
    int64_t rows = round_up((p->rows + wanted - 1) / wanted, TILE_ROWS);
    p->task_rows = rows > MAX_TASK_ROWS ? MAX_TASK_ROWS : most(rows, 2 * TILE_ROWS);
    int64_t down = (p->rows + p->task_rows - 1) / p->task_rows;
    int64_t across = down >= wanted ? 1 : least(panels, (wanted + down - 1) / down);
    p->task_panels = (panels + across - 1) / across;
    p->tasks_across = (panels + p->task_panels - 1) / p->task_panels;
}

static void pack(const struct product *p)
{
    cpu_threads_for(p->threads, panels_count(p->columns, TILE_COLUMNS), kernel_grain(p->depth * TILE_COLUMNS),
                    pack_panels_task, (void *)p);
}

void product_multiply(struct product *p)
{
    enum { WORTH = 1 << 17 }; /* multiplications that are worth waking a thread for */
    if (!p->b.to) {
        int64_t size = panels_size(p->depth, p->columns, TILE_COLUMNS);
        p->b.to = cpu_threads_scratch(p->threads, CPU_SCRATCH_SHARED, sizeof(real) * (size_t)size);
        pack(p);
    }
    divide(p);
    int64_t tasks = (p->rows + p->task_rows - 1) / p->task_rows * p->tasks_across;
    bool small = p->rows * p->columns * p->depth < WORTH;
    cpu_threads_for(p->threads, tasks, small ? tasks : 1, multiply_task, p);
}

/* x [..., k] times w: [n, k], transposed, or [k, n] */
static struct product product_of(const struct kernel_call *call, enum op op)
{
    bool transposed = op == OP_matmul_nt;
    int64_t depth = kernel_last_dim(&call->inputs[0]), columns = call->inputs[1].dims[transposed ? 0 : 1];
    return (struct product){.a = kernel_input(call, 0),
                            .a_row = depth,
                            .a_column = 1,
                            .c = kernel_result(call, 0),
                            .rows = kernel_rows(&call->inputs[0]),
                            .columns = columns,
                            .depth = depth,
                            .b = {.from = kernel_input(call, 1),
                                  .row = transposed ? 1 : columns,
                                  .column = transposed ? depth : 1,
                                  .depth = depth,
                                  .columns = columns,
                                  .width = TILE_COLUMNS,
                                  .narrows = true,
                                  .to = call->packed},
                            .threads = call->threads};
}

void KERNEL(matmul_nt)(struct kernel_call *call)
{
    struct product p = product_of(call, OP_matmul_nt);
    product_multiply(&p);
}

void KERNEL(matmul_nn)(struct kernel_call *call)
{
    struct product p = product_of(call, OP_matmul_nn);
    product_multiply(&p);
}

int64_t KERNEL(pack)(const struct kernel_call *call, enum op op, real *to)
{
    if (op != OP_matmul_nt && op != OP_matmul_nn)
        return 0;
    struct product p = product_of(call, op);
    p.b.to = to;
    if (to)
        pack(&p);
    return panels_size(p.depth, p.columns, TILE_COLUMNS);
}
