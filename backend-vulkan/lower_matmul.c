/* Lowering of matrix products. Which kernel does one depends on the shape and the kind of device and never
 * changes a byte: every output is one lane's sum in the golden order. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/matmul.h"
#include <inttypes.h>

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

/* Rows [m, m + rows) and columns [n, n + columns) of a product. */
static struct product part_of(const struct product *p, uint64_t m, uint64_t rows, uint64_t n,
                              uint64_t columns)
{
    struct product part = *p;
    struct push_matmul *s = &part.shape;
    uint64_t last = s->depth - 1;
    s->rows = (uint)rows;
    s->columns = (uint)columns;
    part.x = span_part(p->x, m * s->x_row, (rows - 1) * s->x_row + last * s->x_step + 1);
    part.w = span_part(p->w, n * s->w_column, (columns - 1) * s->w_column + last * s->w_step + 1);
    part.y = span_part(p->y, m * s->y_row + n, (rows - 1) * s->y_row + columns);
    return part;
}

/* Columns of w, or rows of x turned, made dense: [depth, padded]. */
static void pack(struct lowering *l, struct span from, uint step, uint width, uint depth, uint count,
                 uint padded, struct span to)
{
    lower_add_copy(l, &(struct lower_copy){.from = from,
                                           .to = to,
                                           .rows = depth,
                                           .columns = count,
                                           .padded = padded,
                                           .from_row = step,
                                           .from_column = width,
                                           .to_row = padded});
}

/* The wide kernel loads four neighbours along a row of w; else panels of columns are copied first. */
static bool lower_wide(struct lowering *l, const struct product *p)
{
    const struct push_matmul *s = &p->shape;
    bool is_aligned = s->w_column == 1 && s->w_step % 4 == 0 && p->w.first % 4 == 0;
    if (is_aligned) {
        launch_wide(l, p);
        return true;
    }
    uint64_t room = l->temporary_limit / 2 < l->binding ? l->temporary_limit / 2 : l->binding;
    uint64_t panel = room / s->depth / WIDE_COLUMNS * WIDE_COLUMNS;
    if (panel == 0)
        return false;
    for (uint64_t first = 0; first < s->columns; first += panel) {
        uint64_t left = s->columns - first;
        struct product part = part_of(p, 0, s->rows, first, left < panel ? left : panel);
        struct span w = part.w;
        part.shape.w_step = (part.shape.columns + 3) / 4 * 4;
        part.shape.w_column = 1;
        if (!lowering_temporary(l, (uint64_t)s->depth * part.shape.w_step, &part.w))
            return false;
        pack(l, w, s->w_step, s->w_column, s->depth, part.shape.columns, part.shape.w_step, part.w);
        launch_wide(l, &part);
    }
    return true;
}

/* A product whose operands and result can be bound. */
static void lower_bound_product(struct lowering *l, const struct product *p)
{
    const struct push_matmul *s = &p->shape;
    if (l->matmul == VULKAN_MATMUL_WIDE && s->rows >= 8 && s->columns >= 32 && lower_wide(l, p))
        return;
    if (l->matmul == VULKAN_MATMUL_TILE && s->rows >= 16 && s->columns >= 16)
        launch_product(l, KERNEL_matmul_tile, p, tiles(s->rows, TILE_ROWS) * tiles(s->columns, TILE_COLUMNS));
    else
        launch_product(l, KERNEL_matmul, p, lower_groups((uint64_t)s->rows * s->columns));
}

/* The most rows of x, or columns of w, that can be bound at once or, where their terms lie a row apart, be
 * copied to what can; 0 where not one can. */
static uint64_t most_lines(const struct lowering *l, uint depth, uint step, uint width, uint count,
                           bool *is_packed)
{
    uint64_t room = l->temporary_limit < l->binding ? l->temporary_limit : l->binding;
    uint64_t along =
        (uint64_t)(depth - 1) * step + 1; /* elements from the first term of a line to its last */
    *is_packed = false;
    if (along + (uint64_t)(count - 1) * width <= l->binding)
        return count;
    *is_packed = width < step;
    if (*is_packed)
        return room / depth > 4 ? room / depth - 3 : 0; /* with what pads four columns */
    return along <= l->binding ? (l->binding - along) / width + 1 : 0;
}

/* Whole tiles where there are more than one. */
static uint64_t whole_tiles(uint64_t lines, uint64_t tile)
{
    return lines > tile ? lines / tile * tile : lines;
}

/* One panel of the result, after copying what cannot be bound. */
static enum status lower_panel(struct lowering *l, struct product *p, bool packs_x, bool packs_w,
                               struct trace *trace)
{
    struct push_matmul *s = &p->shape;
    struct span x = p->x, w = p->w;
    if (packs_x) {
        TRY(lowering_keep(l, (uint64_t)s->depth * s->rows, &p->x, trace));
        pack(l, x, s->x_step, s->x_row, s->depth, s->rows, s->rows, p->x);
        s->x_row = 1;
        s->x_step = s->rows;
    }
    if (packs_w) {
        uint across = (s->columns + 3) / 4 * 4;
        TRY(lowering_keep(l, (uint64_t)s->depth * across, &p->w, trace));
        pack(l, w, s->w_step, s->w_column, s->depth, s->columns, across, p->w);
        s->w_column = 1;
        s->w_step = across;
    }
    lower_bound_product(l, p);
    lowering_forget(l);
    return OK;
}

/* Panels of the result, so small that all they need can be bound. Terms of a sum stay together. */
static enum status lower_product(struct lowering *l, const struct product *p, struct trace *trace)
{
    const struct push_matmul *s = &p->shape;
    bool packs_x, packs_w;
    uint64_t rows = most_lines(l, s->depth, s->x_step, s->x_row, s->rows, &packs_x);
    uint64_t columns = most_lines(l, s->depth, s->w_step, s->w_column, s->columns, &packs_w);
    columns = columns < s->columns ? whole_tiles(columns, WIDE_COLUMNS) : s->columns;
    uint64_t down = columns <= l->binding ? (l->binding - columns) / s->y_row + 1 : 0;
    rows = whole_tiles(rows < down ? rows : down, TILE_ROWS);
    rows = rows < s->rows ? rows : s->rows;
    if (rows == 0 || columns == 0)
        return status_fail(trace, DEVICE,
                           "a product with sums of %u terms does not fit bindings of %" PRIu64 " bytes",
                           s->depth, l->binding * 4);
    for (uint64_t n = 0; n < s->columns; n += columns)
        for (uint64_t m = 0; m < s->rows; m += rows) {
            uint64_t right = s->columns - n, below = s->rows - m;
            struct product part =
                part_of(p, m, below < rows ? below : rows, n, right < columns ? right : columns);
            TRY(lower_panel(l, &part, packs_x, packs_w, trace));
        }
    return OK;
}

/* x [..., k], w [n, k] -> [..., n] */
enum status lower_matmul_nt(struct lowering *l, const struct step *s, struct trace *trace)
{
    uint k = (uint)s->inputs[0].width, n = (uint)s->inputs[1].dims[0];
    return lower_product(l,
                         &(struct product){
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
                         },
                         trace);
}

/* x [..., k], w [k, n] -> [..., n] */
enum status lower_matmul_nn(struct lowering *l, const struct step *s, struct trace *trace)
{
    uint k = (uint)s->inputs[0].width, n = (uint)s->inputs[1].width;
    return lower_product(l,
                         &(struct product){
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
                         },
                         trace);
}

/* x [..., m], z [..., n] -> [m, n]: the contraction runs over rows. */
enum status lower_matmul_tn(struct lowering *l, const struct step *s, struct trace *trace)
{
    uint m = (uint)s->inputs[0].width, n = (uint)s->inputs[1].width;
    return lower_product(l,
                         &(struct product){
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
                         },
                         trace);
}
