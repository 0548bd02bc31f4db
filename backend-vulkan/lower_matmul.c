/* Lowering of matrix products. Which kernel does one depends on the shape and the kind of device and never
 * changes a byte: every output is one lane's sum in the golden order. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/matmul.h"

enum { WIDE_ROWS = 16, WIDE_COLUMNS = 128, TILE_ROWS = 128, TILE_COLUMNS = 64 };

/* y [rows, columns] = x * w with the strides of `shape`. */
struct product {
    struct span x, w, y;
    struct push_matmul shape;
};

static uint64_t tiles(uint count, uint size)
{
    return (count + size - 1) / size;
}

static void launch_product(struct lowering *l, enum kernel kernel, const struct product *p, uint64_t groups)
{
    struct span spans[] = {p->x, p->w, p->y};
    commands_add(l->commands, kernel, spans, &p->shape, groups,
                 2.0 * p->shape.rows * p->shape.columns * p->shape.depth);
}

static void launch_wide(struct lowering *l, const struct product *p)
{
    launch_product(l, KERNEL_matmul_wide, p,
                   tiles(p->shape.rows, WIDE_ROWS) * tiles(p->shape.columns, WIDE_COLUMNS));
}

/* The wide kernel loads four neighbours along a row of w; else panels of columns are copied first. */
static bool lower_wide(struct lowering *l, const struct product *p)
{
    bool is_aligned = p->shape.w_column == 1 && p->shape.w_step % 4 == 0 && p->w.first % 4 == 0;
    if (is_aligned) {
        launch_wide(l, p);
        return true;
    }
    uint64_t panel = l->temporary_limit / 2 / p->shape.depth / WIDE_COLUMNS * WIDE_COLUMNS;
    if (panel == 0)
        return false;
    for (uint64_t first = 0; first < p->shape.columns; first += panel) {
        struct product part = *p;
        uint64_t left = p->shape.columns - first;
        part.shape.columns = (uint)(left < panel ? left : panel);
        part.shape.first_column = (uint)first;
        part.shape.padded = (part.shape.columns + 3) / 4 * 4;
        uint64_t count = (uint64_t)p->shape.depth * part.shape.padded;
        if (!lowering_temporary(l, count, &part.w))
            return false;
        struct span copy[] = {p->w, part.w};
        commands_add(l->commands, KERNEL_repack, copy, &part.shape, lower_groups(count), 2.0 * count);
        part.shape.w_step = part.shape.padded;
        part.shape.w_column = 1;
        launch_wide(l, &part);
    }
    return true;
}

static void lower_product(struct lowering *l, const struct product *p)
{
    const struct push_matmul *s = &p->shape;
    if (l->matmul == VULKAN_MATMUL_WIDE && s->rows >= 8 && s->columns >= 32 && lower_wide(l, p))
        return;
    if (l->matmul == VULKAN_MATMUL_TILE && s->rows >= 16 && s->columns >= 16)
        launch_product(l, KERNEL_matmul_tile, p, tiles(s->rows, TILE_ROWS) * tiles(s->columns, TILE_COLUMNS));
    else
        launch_product(l, KERNEL_matmul, p, lower_groups((uint64_t)s->rows * s->columns));
}

/* x [..., k], w [n, k] -> [..., n] */
enum status lower_matmul_nt(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    uint k = (uint)s->inputs[0].width, n = (uint)s->inputs[1].dims[0];
    lower_product(l, &(struct product){
                         .x = s->inputs[0].span,
                         .w = s->inputs[1].span,
                         .y = s->results[0].span,
                         .shape = {.rows = (uint)(s->inputs[0].count / k),
                                   .columns = n,
                                   .depth = k,
                                   .x_row = k,
                                   .x_step = 1,
                                   .w_step = 1,
                                   .w_column = k,
                                   .y_row = n},
                     });
    return OK;
}

/* x [..., k], w [k, n] -> [..., n] */
enum status lower_matmul_nn(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    uint k = (uint)s->inputs[0].width, n = (uint)s->inputs[1].width;
    lower_product(l, &(struct product){
                         .x = s->inputs[0].span,
                         .w = s->inputs[1].span,
                         .y = s->results[0].span,
                         .shape = {.rows = (uint)(s->inputs[0].count / k),
                                   .columns = n,
                                   .depth = k,
                                   .x_row = k,
                                   .x_step = 1,
                                   .w_step = n,
                                   .w_column = 1,
                                   .y_row = n},
                     });
    return OK;
}

/* x [..., m], z [..., n] -> [m, n]: the contraction runs over rows. */
enum status lower_matmul_tn(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    uint m = (uint)s->inputs[0].width, n = (uint)s->inputs[1].width;
    lower_product(l, &(struct product){
                         .x = s->inputs[0].span,
                         .w = s->inputs[1].span,
                         .y = s->results[0].span,
                         .shape = {.rows = m,
                                   .columns = n,
                                   .depth = (uint)(s->inputs[0].count / m),
                                   .x_row = 1,
                                   .x_step = m,
                                   .w_step = n,
                                   .w_column = 1,
                                   .y_row = n},
                     });
    return OK;
}
