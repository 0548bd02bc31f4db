/* Lowering of matrix products. Which variant of which kernel does one depends on the shape and the device and
 * never changes a byte: under golden numerics every output is one lane's sum in the golden order, and under
 * device numerics one sum over k ascending. */
#include "backend-vulkan/lower.h"
#include "shaders/include/constants.h"
#include "shaders/include/push/matmul.h"
#include <assert.h>
#include <inttypes.h>

static_assert((int)PRODUCT_BIAS == (int)TAIL_BIAS && (int)PRODUCT_ADDEND == (int)TAIL_ADDEND,
              "one numbering");

/* Panels of a result are whole multiples of every variant's tile, and of what a wide tile of matrices has. */
enum { PANEL_ROWS = 128, PANEL_COLUMNS = 128 };

/* y [rows, columns] = x * w with the strides of `shape`, and what is added: a bias [columns], and what lies
 * as y does; without elements: nothing. */
struct product {
    struct span x, w, y, bias, addend;
    struct push_matmul shape;
};

static enum tail tail_of(const struct product *p)
{
    return (p->bias.count ? TAIL_BIAS : TAIL_NONE) | (p->addend.count ? TAIL_ADDEND : TAIL_NONE);
}

static void launch_product(struct lowering *l, enum variant variant, const struct product *p)
{
    const struct push_matmul *shape = &p->shape;
    struct span spans[] = {p->x, p->w, p->y, p->bias, p->addend};
    struct launch *launch =
        commands_add(l->commands, variant_table[variant].kernel, spans, shape,
                     variant_groups(variant, &l->tuning->matrices, shape->rows, shape->columns),
                     2.0 * shape->rows * shape->columns * shape->depth);
    variant_specialise(launch->constants, variant, &l->tuning->matrices, shape);
    launch->constants[PRODUCT_TAIL] = tail_of(p);
}

/* Rows [m, m + rows) and columns [n, n + columns) of a product. */
static struct product part_of(const struct product *p, uint64_t m, uint64_t rows, uint64_t n,
                              uint64_t columns)
{
    struct product part = *p;
    struct push_matmul *s = &part.shape;
    uint64_t last = s->depth - 1;
    if (rows < s->rows) /* else with what pads its lines */
        part.x = span_part(p->x, m * s->x_row, (rows - 1) * s->x_row + last * s->x_step + 1);
    if (columns < s->columns)
        part.w = span_part(p->w, n * s->w_column, (columns - 1) * s->w_column + last * s->w_step + 1);
    s->rows = (uint)rows;
    s->columns = (uint)columns;
    uint64_t first = m * s->y_row + n, count = (rows - 1) * s->y_row + columns;
    part.y = span_part(p->y, first, count);
    if (p->bias.count)
        part.bias = span_part(p->bias, n, columns);
    if (p->addend.count)
        part.addend = span_part(p->addend, first, count);
    return part;
}

/* One side of a product, of which each output takes a line: rows of x, or columns of w. */
struct side {
    struct span *span;
    uint *step, *width; /* elements between terms of a line, and between lines */
    uint lines;
};

static struct side side_x(struct product *p)
{
    return (struct side){&p->x, &p->shape.x_step, &p->shape.x_row, p->shape.rows};
}

static struct side side_w(struct product *p)
{
    return (struct side){&p->w, &p->shape.w_step, &p->shape.w_column, p->shape.columns};
}

static bool is_four(uint64_t count)
{
    return count % 4 == 0;
}

static uint four_up(uint count)
{
    return (count + 3) / 4 * 4;
}

enum along { ALONG_LINES, ALONG_EITHER };

/* The wide kernel reads four neighbours, along k where it can, or of four lines; the last of those may be
 * what pads them. */
static bool lies_well(struct side side, uint depth, enum along along)
{
    if (!is_four(side.span->first))
        return false;
    uint64_t end = (uint64_t)(depth - 1) * *side.step + four_up(side.lines);
    return (*side.width == 1 && is_four(*side.step) && end <= side.span->count) ||
           (along == ALONG_EITHER && *side.step == 1 && is_four(*side.width) && is_four(depth));
}

/* Copies lines side by side, [depth, padded]: they are the side from now on. */
static void pack(struct lowering *l, struct side side, uint depth, struct span to)
{
    uint padded = four_up(side.lines);
    lower_add_copy(l, &(struct lower_copy){.from = *side.span,
                                           .to = to,
                                           .rows = depth,
                                           .columns = side.lines,
                                           .padded = padded,
                                           .from_row = *side.step,
                                           .from_column = *side.width,
                                           .to_row = padded});
    *side.span = to;
    *side.width = 1;
    *side.step = padded;
}

static bool pack_for_launch(struct lowering *l, struct side side, uint depth)
{
    struct span to;
    if (!lowering_temporary(l, (uint64_t)depth * four_up(side.lines), &to))
        return false;
    pack(l, side, depth, to);
    return true;
}

static enum status pack_for_panel(struct lowering *l, struct side side, uint depth, struct trace *trace)
{
    struct span to;
    TRY(lowering_keep(l, (uint64_t)depth * four_up(side.lines), &to, trace));
    pack(l, side, depth, to);
    return OK;
}

/* What does not lie well is copied first, in panels. */
static bool lower_wide(struct lowering *l, enum variant variant, struct product *p)
{
    const struct push_matmul *s = &p->shape;
    bool is_unrolled = variant_table[variant].constants[WIDE_UNROLLED] != 0;
    bool packs_x = !lies_well(side_x(p), s->depth, ALONG_EITHER);
    bool packs_w = !lies_well(side_w(p), s->depth, is_unrolled ? ALONG_EITHER : ALONG_LINES);
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
            if ((packs_x && !pack_for_launch(l, side_x(&part), s->depth)) ||
                (packs_w && !pack_for_launch(l, side_w(&part), s->depth)))
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
static void lower_bound_product(struct lowering *l, struct product *p)
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
    if (packs_x)
        TRY(pack_for_panel(l, side_x(p), p->shape.depth, trace));
    if (packs_w)
        TRY(pack_for_panel(l, side_w(p), p->shape.depth, trace));
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
                             .bias = s->bias,
                             .addend = s->addend,
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
                             .bias = s->bias,
                             .addend = s->addend,
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
                             .bias = s->bias,
                             .addend = s->addend,
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
