/* Lowering of matrix products. Which variant of which kernel does one depends on the shape and the device and
 * never changes a byte: every output is one lane's sum in the golden order. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/matmul.h"
#include <inttypes.h>
#include <string.h>

enum {
    PANEL_ROWS = 128,
    PANEL_COLUMNS = 128
}; /* panels of a result are whole multiples of every variant's tile */

/* Constants of matmul_wide. */
enum { LANES_UNROLLED = 2, LANES_X_ALONG_K = 3, LANES_W_ALONG_K = 4 };

/* y [rows, columns] = x * w with the strides of `shape`. */
struct product {
    struct span x, w, y;
    struct push_matmul shape;
};

static void launch_product(struct lowering *l, enum variant variant, const struct product *p)
{
    const struct push_matmul *shape = &p->shape;
    struct span spans[] = {p->x, p->w, p->y};
    struct launch *launch = commands_add(l->commands, variant_table[variant].kernel, spans, shape,
                                         variant_groups(variant, shape->rows, shape->columns),
                                         2.0 * shape->rows * shape->columns * shape->depth);
    memcpy(launch->constants, variant_table[variant].constants, sizeof launch->constants);
    launch->constants[LANES_X_ALONG_K] = shape->x_step == 1 && shape->x_row != 1;
    launch->constants[LANES_W_ALONG_K] = shape->w_step == 1 && shape->w_column != 1;
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

static bool is_four(uint64_t count)
{
    return count % 4 == 0;
}

/* The wide kernel reads four neighbours along k, or along the outputs. */
static bool x_lies_well(const struct product *p)
{
    const struct push_matmul *s = &p->shape;
    if (!is_four(p->x.first))
        return false;
    return (s->x_row == 1 && is_four(s->x_step) && is_four(s->rows)) ||
           (s->x_step == 1 && is_four(s->x_row) && is_four(s->depth));
}

static bool w_lies_well(const struct product *p, bool may_lie_along_k)
{
    const struct push_matmul *s = &p->shape;
    if (!is_four(p->w.first))
        return false;
    return (s->w_column == 1 && is_four(s->w_step) && is_four(s->columns)) ||
           (may_lie_along_k && s->w_step == 1 && is_four(s->w_column) && is_four(s->depth));
}

static uint four_up(uint count)
{
    return (count + 3) / 4 * 4;
}

/* Rows of x, and columns of w, side by side in temporaries. */
static bool pack_rows(struct lowering *l, struct product *p)
{
    struct push_matmul *s = &p->shape;
    struct span x = p->x;
    if (!lowering_temporary(l, (uint64_t)s->depth * four_up(s->rows), &p->x))
        return false;
    pack(l, x, s->x_step, s->x_row, s->depth, s->rows, four_up(s->rows), p->x);
    s->x_row = 1;
    s->x_step = four_up(s->rows);
    return true;
}

static bool pack_columns(struct lowering *l, struct product *p)
{
    struct push_matmul *s = &p->shape;
    struct span w = p->w;
    if (!lowering_temporary(l, (uint64_t)s->depth * four_up(s->columns), &p->w))
        return false;
    pack(l, w, s->w_step, s->w_column, s->depth, s->columns, four_up(s->columns), p->w);
    s->w_column = 1;
    s->w_step = four_up(s->columns);
    return true;
}

/* What does not lie well is copied first, in panels. */
static bool lower_wide(struct lowering *l, enum variant variant, const struct product *p)
{
    const struct push_matmul *s = &p->shape;
    bool packs_x = !x_lies_well(p),
         packs_w = !w_lies_well(p, variant_table[variant].constants[LANES_UNROLLED]);
    uint64_t room =
        l->temporary_limit / 4 < l->binding ? l->temporary_limit / 4 : l->binding; /* two at once */
    uint64_t panel = room / s->depth / PANEL_ROWS * PANEL_ROWS;
    uint64_t down = packs_x ? panel : s->rows, across = packs_w ? panel : s->columns;
    if (down == 0 || across == 0)
        return false;
    for (uint64_t n = 0; n < s->columns; n += across)
        for (uint64_t m = 0; m < s->rows; m += down) {
            uint64_t right = s->columns - n, below = s->rows - m;
            struct product part =
                part_of(p, m, below < down ? below : down, n, right < across ? right : across);
            if ((packs_x && !pack_rows(l, &part)) || (packs_w && !pack_columns(l, &part)))
                return false;
            launch_product(l, variant, &part);
        }
    return true;
}

static enum product_form form_of(const struct push_matmul *s)
{
    if (s->x_row == 1 && s->x_step != 1)
        return PRODUCT_TN;
    return s->w_step == 1 && s->w_column != 1 ? PRODUCT_NT : PRODUCT_NN;
}

/* A product whose operands and result can be bound. */
static void lower_bound_product(struct lowering *l, const struct product *p)
{
    enum variant variant = tuning_choose(l->tuning, form_of(&p->shape), p->shape.rows, p->shape.columns);
    if (variant_table[variant].kernel != KERNEL_matmul_wide)
        launch_product(l, variant, p);
    else if (!lower_wide(l, variant, p))
        launch_product(l, VARIANT_simple, p);
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
    columns = columns < s->columns ? whole_tiles(columns, PANEL_COLUMNS) : s->columns;
    uint64_t down = columns <= l->binding ? (l->binding - columns) / s->y_row + 1 : 0;
    rows = whole_tiles(rows < down ? rows : down, PANEL_ROWS);
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
