/* Lowering of reductions over rows, columns and whole tensors, and of what walks rows of a table. */
#include "backend-vulkan/lower.h"
#include "shaders/include/constants.h"
#include "shaders/include/push/elements.h"
#include "shaders/include/push/rotary.h"
#include "shaders/include/push/rows.h"
#include "shaders/scalar/convert.h"
#include "shaders/scalar/root.h"
#include <inttypes.h>

static float reciprocal(uint64_t n)
{
    return gm_rcp(gm_from_uint((uint)n));
}

static bool has_epsilon(enum op op)
{
    enum attribute_key keys[OP_MAX_ATTRIBUTES];
    uint32_t count = op_attributes(op, keys);
    for (uint32_t i = 0; i < count; i++)
        if (keys[i] == ATTRIBUTE_epsilon)
            return true;
    return false;
}

static void launch(struct lowering *l, const struct step *s, struct push_rows push, uint64_t groups,
                   double cost)
{
    struct lower_spans all = lower_all_spans(s);
    commands_add(l->commands, s->kernel, all.spans, &push, groups, cost);
}

/* Do rows of `width` elements of the step's operands begin at multiples of four elements? */
static bool has_quads(const struct step *s, uint64_t width)
{
    bool all = width % 4 == 0 && s->addend.first % 4 == 0;
    for (uint32_t i = 0; i < s->node->input_count; i++)
        all = all && (s->inputs[i].count < width || s->inputs[i].span.first % 4 == 0);
    return all && s->results[0].span.first % 4 == 0;
}

/* Kernels of norms: a processor does eight rows a group. */
static enum status by_norm_rows(struct lowering *l, const struct step *s, uint64_t width)
{
    uint64_t rows = s->inputs[0].count / width;
    struct push_rows push = {.rows = (uint)rows, .columns = (uint)width, .reciprocal = reciprocal(width)};
    if (has_epsilon(s->node->op))
        push.epsilon = node_real(s->node, ATTRIBUTE_epsilon);
    struct lower_spans all = lower_all_spans(s);
    bool narrow = l->tuning->prefers_lanes && has_quads(s, width);
    struct launch *made = commands_add(l->commands, s->kernel, all.spans, &push,
                                       narrow ? (rows + 7) / 8 : rows, 60.0 * (double)s->inputs[0].count);
    made->constants[NORM_QUADS] = narrow;
    made->constants[NORM_ADDEND] = s->addend.count > 0;
    return OK;
}

/* A group for each row of `width` elements of the first operand. */
static enum status by_rows(struct lowering *l, const struct step *s, uint64_t width)
{
    const struct operand *x = &s->inputs[0];
    struct push_rows push = {
        .rows = (uint)(x->count / width), .columns = (uint)width, .reciprocal = reciprocal(width)};
    launch(l, s, push, push.rows, 60.0 * x->count);
    return OK;
}

enum status lower_by_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    return by_rows(l, s, s->inputs[0].width);
}

enum status lower_norm(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    return by_norm_rows(l, s, s->inputs[0].width);
}

/* Heads are the rows, as long as the weight. */
enum status lower_head_norm(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    return by_norm_rows(l, s, s->inputs[1].width);
}

enum status lower_ce_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    checks_add_ids(l->checks, s->inputs[1].span, s->inputs[0].width);
    return lower_by_rows(l, s, trace);
}

enum status lower_top_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *x = &s->inputs[0];
    struct push_rows push = {.rows = (uint)(x->count / x->width),
                             .columns = (uint)x->width,
                             .length = (uint)node_integer(s->node, ATTRIBUTE_top)};
    launch(l, s, push, push.rows, 200.0 * x->count);
    return OK;
}

enum status lower_kl_kept_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *x = &s->inputs[0], *ids = &s->inputs[1];
    struct push_rows push = {
        .rows = (uint)(x->count / x->width), .columns = (uint)x->width, .length = (uint)ids->width};
    checks_add_ids(l->checks, ids->span, x->width);
    launch(l, s, push, push.rows, 80.0 * x->count);
    return OK;
}

/* What a lane for each column reduces: matrices [rows, columns] and vectors, all of whose rows count, and
 * then results [columns]. */
struct reduction {
    struct span spans[DEVICE_BINDINGS];
    bool is_matrix[DEVICE_BINDINGS];
    uint32_t inputs, results;
    struct push_rows push;
};

/* Columns [first, first + columns) of a reduction, copied to where they can be bound. */
static enum status reduce_panel(struct lowering *l, enum kernel kernel, const struct reduction *whole,
                                uint64_t first, uint64_t columns, struct trace *trace)
{
    struct reduction part = *whole;
    const struct push_rows *push = &whole->push;
    part.push.columns = part.push.length = (uint)columns;
    for (uint32_t i = 0; i < whole->inputs; i++) {
        if (!whole->is_matrix[i])
            continue;
        TRY(lowering_keep(l, push->rows * columns, &part.spans[i], trace));
        lower_add_copy(
            l, &(struct lower_copy){.from = span_part(whole->spans[i], first, whole->spans[i].count - first),
                                    .to = part.spans[i],
                                    .rows = push->rows,
                                    .columns = columns,
                                    .padded = columns,
                                    .from_row = push->columns,
                                    .from_column = 1,
                                    .to_row = columns});
    }
    for (uint32_t i = whole->inputs; i < whole->inputs + whole->results; i++)
        part.spans[i] = span_part(whole->spans[i], first, columns);
    commands_add(l->commands, kernel, part.spans, &part.push, lower_groups(columns),
                 6.0 * push->rows * (double)columns);
    lowering_forget(l);
    return OK;
}

/* At once where all can be bound, else by panels of columns. */
static enum status reduce(struct lowering *l, enum kernel kernel, const struct reduction *r,
                          struct trace *trace)
{
    uint64_t room = l->temporary_limit < l->binding ? l->temporary_limit : l->binding;
    uint64_t columns = r->push.columns, rows = r->push.rows, panel = room / rows;
    if (rows * columns <= l->binding) {
        commands_add(l->commands, kernel, r->spans, &r->push, lower_groups(columns),
                     6.0 * (double)(rows * columns));
        return OK;
    }
    if (panel == 0)
        return status_fail(trace, DEVICE,
                           "a column of %" PRIu64 " elements does not fit a binding of %" PRIu64 " bytes",
                           rows, l->binding * 4);
    for (uint64_t first = 0; first < columns; first += panel)
        TRY(reduce_panel(l, kernel, r, first, columns - first < panel ? columns - first : panel, trace));
    return OK;
}

/* A lane for each column of the result. Rows of the first operand are as long; other operands have its shape,
 * or an element a row. */
enum status lower_by_columns(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct operand *x = &s->inputs[0];
    uint64_t width = s->results[0].count;
    struct reduction r = {.inputs = s->node->input_count,
                          .results = 1,
                          .push = {.rows = (uint)(x->count / width), .columns = (uint)width}};
    for (uint32_t i = 0; i < r.inputs; i++) {
        r.spans[i] = s->inputs[i].span;
        r.is_matrix[i] = s->inputs[i].count == x->count;
    }
    r.spans[r.inputs] = s->results[0].span;
    return reduce(l, s->kernel, &r, trace);
}

/* One group for the whole tensor: the order of additions leaves no more to do in parallel. What cannot be
 * bound at once follows in further launches, which go on with the sums of the lanes. */
enum status lower_whole(struct lowering *l, const struct step *s, struct trace *trace)
{
    uint32_t inputs = s->node->input_count;
    uint64_t count = s->inputs[0].count, most = l->binding / 64 * 64;
    struct span spans[DEVICE_BINDINGS];
    TRY(lowering_keep(l, 64, &spans[inputs], trace));
    spans[inputs + 1] = s->results[0].span;
    for (uint64_t first = 0; first < count; first += most) {
        uint64_t n = count - first < most ? count - first : most;
        for (uint32_t i = 0; i < inputs; i++)
            spans[i] = span_part(s->inputs[i].span, first, n);
        struct push_rows push = {
            .rows = 1, .columns = (uint)n, .first = first > 0, .held = first + n < count};
        commands_add(l->commands, s->kernel, spans, &push, 1, 100.0 * (double)n);
    }
    return OK;
}

enum status lower_block_squares(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_rows push = {.rows = (uint)s->results[0].count, .length = (uint)s->inputs[0].count};
    launch(l, s, push, push.rows, 4.0 * push.length);
    return OK;
}

/* A lane for each head of each position. */
enum status lower_by_heads(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_rows push = {.rows = (uint)s->results[0].count,
                             .columns = (uint)(s->inputs[0].count / s->results[0].count)};
    launch(l, s, push, lower_groups(push.rows), 4.0 * s->inputs[0].count);
    return OK;
}

/* x [b, s, c]: the columns of each sequence, of several at a time where they can be bound. */
enum status lower_by_sequence(struct lowering *l, const struct step *s, struct trace *trace)
{
    uint64_t width = s->inputs[0].width, batch = s->results[0].count / width,
             rows = s->inputs[0].count / batch / width;
    uint64_t fit = l->binding / (rows * width), most = fit > 0 ? fit : 1;
    for (uint64_t b = 0; b < batch; b += most) {
        uint64_t n = batch - b < most ? batch - b : most;
        struct reduction r = {.spans = {span_part(s->inputs[0].span, b * rows * width, n * rows * width)},
                              .is_matrix = {true},
                              .inputs = 1,
                              .results = s->node->result_count,
                              .push = {.rows = (uint)rows,
                                       .columns = (uint)width,
                                       .length = (uint)(n * width),
                                       .reciprocal = reciprocal(rows)}};
        for (uint32_t i = 0; i < r.results; i++)
            r.spans[1 + i] = span_part(s->results[i].span, b * width, n * width);
        if (fit == 0)
            TRY(reduce(l, s->kernel, &r, trace));
        else
            commands_add(l->commands, s->kernel, r.spans, &r.push, lower_groups(n * width),
                         4.0 * (double)(n * rows * width));
    }
    return OK;
}

static enum status check_row(const struct lowering *l, uint64_t width, struct trace *trace)
{
    if (width <= l->binding)
        return OK;
    return status_fail(trace, DEVICE,
                       "a row of %" PRIu64 " elements does not fit a binding of %" PRIu64 " bytes", width,
                       l->binding * 4);
}

/* Panels of rows of the table; each writes the results of the ids in it. */
enum status lower_embed(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct operand *table = &s->inputs[0], *y = &s->results[0];
    TRY(check_row(l, table->width, trace));
    uint64_t rows = table->count / table->width, most = l->binding / table->width;
    struct span spans[] = {table->span, s->inputs[1].span, y->span};
    struct push_rows push = {
        .rows = (uint)s->inputs[1].count, .columns = (uint)table->width, .length = (uint)rows};
    checks_add_ids(l->checks, s->inputs[1].span, rows);
    for (uint64_t first = 0; first < rows; first += most) {
        uint64_t held = rows - first < most ? rows - first : most;
        push.first = (uint)first;
        push.held = (uint)held;
        spans[0] = span_part(table->span, first * table->width, held * table->width);
        commands_add(l->commands, s->kernel, spans, &push, lower_groups(y->count), 4.0 * (double)y->count);
    }
    return OK;
}

/* Columns [first, first + push->columns) of the gradient, by panels of rows of the table. */
static void walk_chains(struct lowering *l, const struct step *s, struct span next, struct span dy,
                        uint64_t first, struct push_rows push)
{
    const struct operand *y = &s->results[0];
    uint64_t rows = y->count / y->width, most = (l->binding - push.columns) / y->width + 1;
    for (uint64_t row = 0; row < rows; row += most) {
        uint64_t held = rows - row < most ? rows - row : most;
        push.first = (uint)row;
        push.held = (uint)held;
        struct span to = span_part(y->span, row * y->width + first, (held - 1) * y->width + push.columns);
        struct span walk[] = {s->inputs[0].span, next, dy, to};
        commands_add(l->commands, s->kernel, walk, &push, lower_groups(dy.count), 8.0 * (double)dy.count);
    }
}

static void launch_zero(struct lowering *l, struct span span)
{
    struct push_elements push = {.count = (uint)span.count};
    if (span.count)
        commands_add(l->commands, KERNEL_zero, &span, &push, lower_groups(span.count), (double)span.count);
}

/* Zeroes the table, chains equal ids, then walks each chain. */
enum status lower_embed_grad(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct operand *ids = &s->inputs[0], *dy = &s->inputs[1], *y = &s->results[0];
    struct push_rows push = {.rows = (uint)ids->count,
                             .columns = (uint)dy->width,
                             .length = (uint)(y->count / y->width),
                             .stride = (uint)y->width};
    struct span next, part;
    TRY(check_row(l, y->width, trace));
    TRY(lowering_keep(l, ids->count, &next, trace));
    checks_add_ids(l->checks, ids->span, push.length);
    launch_zero(l, y->span);
    struct span chain[] = {ids->span, next};
    commands_add(l->commands, KERNEL_embed_chain, chain, &push, lower_groups(ids->count),
                 2.0 * ids->count * ids->count);
    if (dy->count <= l->binding) {
        walk_chains(l, s, next, dy->span, 0, push);
        return OK;
    }
    uint64_t panel = l->binding / ids->count;
    TRY(lowering_keep(l, ids->count * panel, &part, trace));
    for (uint64_t first = 0; first < dy->width; first += panel) {
        push.columns = (uint)(dy->width - first < panel ? dy->width - first : panel);
        struct span columns = span_part(part, 0, ids->count * push.columns);
        lower_add_copy(l, &(struct lower_copy){.from = span_part(dy->span, first, dy->count - first),
                                               .to = columns,
                                               .rows = ids->count,
                                               .columns = push.columns,
                                               .padded = push.columns,
                                               .from_row = dy->width,
                                               .from_column = 1,
                                               .to_row = push.columns});
        walk_chains(l, s, next, columns, first, push);
    }
    return OK;
}

/* Binds the frequencies and the result; of the ids only the shape counts. */
enum status lower_rotary_table(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct span spans[] = {s->inputs[1].span, s->results[0].span};
    struct push_rotary push = {.sequence = (uint)s->results[0].dims[0],
                               .frequencies = (uint)s->inputs[1].count};
    commands_add(l->commands, s->kernel, spans, &push, lower_groups(s->inputs[1].count * push.sequence),
                 200.0 * s->results[0].count);
    return OK;
}

/* dy [b, s, d], table [p, d]: columns of b rows of s * d elements, zeros before and after. */
enum status lower_add_positions_grad(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct operand *dy = &s->inputs[0], *table = &s->results[0];
    uint64_t first = (uint64_t)node_integer(s->node, ATTRIBUTE_start) * dy->width,
             period = (uint64_t)dy->dims[1] * dy->width, end = first + period;
    struct reduction r = {.spans = {dy->span, span_part(table->span, first, period)},
                          .is_matrix = {true},
                          .inputs = 1,
                          .results = 1,
                          .push = {.rows = (uint)dy->dims[0], .columns = (uint)period}};
    launch_zero(l, span_part(table->span, 0, first));
    launch_zero(l, span_part(table->span, end, table->count - end));
    return reduce(l, s->kernel, &r, trace);
}

/* x [b, s, ..], table [s, 2, f]: all at once where the table can be bound, else by positions, a lane for each
 * of `lanes` parts of a position. */
static enum status rotate(struct lowering *l, const struct step *s, struct push_rotary push, uint64_t lanes,
                          struct trace *trace)
{
    const struct operand *x = &s->inputs[0], *table = &s->inputs[1], *y = &s->results[0];
    uint64_t batch = (uint64_t)x->dims[0], positions = (uint64_t)x->dims[1],
             turns = 2 * (uint64_t)push.frequencies, most = l->binding / turns;
    bool can_quad = s->node->op == OP_rope && push.frequencies % 4 == 0;
    TRY(check_row(l, turns, trace));
    if (positions <= most)
        most = batch * positions; /* rows of the table repeat */
    for (uint64_t row = 0, n; row < batch * positions; row += n) {
        uint64_t position = row % positions, left = batch * positions - row;
        bool whole = most == batch * positions;
        n = whole ? left : positions - position < most ? positions - position : most;
        push.batch = whole ? (uint)batch : 1;
        push.sequence = (uint)(whole ? positions : n);
        struct span spans[] = {span_part(x->span, row * x->width, n * x->width),
                               span_part(table->span, position * turns, push.sequence * turns),
                               span_part(y->span, row * x->width, n * x->width)};
        bool quads =
            can_quad && spans[0].first % 4 == 0 && spans[1].first % 4 == 0 && spans[2].first % 4 == 0;
        struct launch *made =
            commands_add(l->commands, s->kernel, spans, &push,
                         lower_groups(quads ? n * lanes / 4 : n * lanes), 8.0 * (double)(n * x->width));
        made->constants[0] = quads;
    }
    return OK;
}

enum status lower_rope(struct lowering *l, const struct step *s, struct trace *trace)
{
    uint64_t width = s->inputs[0].width, frequencies = (uint64_t)s->inputs[1].dims[2];
    struct push_rotary push = {
        .heads = (uint)(width / (2 * frequencies)),
        .frequencies = (uint)frequencies,
        .flip = node_integer(s->node, ATTRIBUTE_inverse) ? GM_SIGN : 0,
    };
    return rotate(l, s, push, width / 2, trace);
}

enum status lower_rope_part(struct lowering *l, const struct step *s, struct trace *trace)
{
    uint64_t width = s->inputs[0].width, heads = (uint64_t)node_integer(s->node, ATTRIBUTE_heads),
             frequencies = (uint64_t)s->inputs[1].dims[2];
    struct push_rotary push = {
        .heads = (uint)heads,
        .frequencies = (uint)frequencies,
        .flip = node_integer(s->node, ATTRIBUTE_inverse) ? GM_SIGN : 0,
        .rest = (uint)(width / heads - 2 * frequencies),
    };
    return rotate(l, s, push, width, trace);
}
