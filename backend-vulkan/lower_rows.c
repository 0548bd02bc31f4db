/* Lowering of reductions over rows, columns and whole tensors, and of what walks rows of a table. */
#include "backend-vulkan/lower.h"
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

/* A group for each row of `width` elements of the first operand. */
static enum status by_rows(struct lowering *l, const struct step *s, uint64_t width)
{
    const struct operand *x = &s->inputs[0];
    struct push_rows push = {
        .rows = (uint)(x->count / width), .columns = (uint)width, .reciprocal = reciprocal(width)};
    if (has_epsilon(s->node->op))
        push.epsilon = node_real(s->node, ATTRIBUTE_epsilon);
    launch(l, s, push, push.rows, 60.0 * x->count);
    return OK;
}

enum status lower_by_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    return by_rows(l, s, s->inputs[0].width);
}

/* Heads are the rows, as long as the weight. */
enum status lower_by_head_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    return by_rows(l, s, s->inputs[1].width);
}

enum status lower_ce_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    checks_add_ids(l->checks, s->inputs[1].span, s->inputs[0].width);
    return lower_by_rows(l, s, trace);
}

enum status lower_kl_top_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *x = &s->inputs[0];
    struct push_rows push = {.rows = (uint)(x->count / x->width),
                             .columns = (uint)x->width,
                             .length = (uint)node_integer(s->node, ATTRIBUTE_top)};
    launch(l, s, push, push.rows, 200.0 * x->count);
    return OK;
}

/* A lane for each column of the result; rows of the first operand are as long. */
enum status lower_by_columns(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *x = &s->inputs[0];
    uint64_t width = s->results[0].count;
    struct push_rows push = {.rows = (uint)(x->count / width), .columns = (uint)width};
    launch(l, s, push, lower_groups(width), 6.0 * x->count);
    return OK;
}

/* One group for the whole tensor: the order of additions leaves no more to do in parallel. */
enum status lower_whole(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    launch(l, s, (struct push_rows){.rows = 1, .columns = (uint)s->inputs[0].count}, 1,
           100.0 * s->inputs[0].count);
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

/* A lane for each column of each sequence. */
enum status lower_by_sequence(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *x = &s->inputs[0], *y = &s->results[0];
    uint64_t length = x->count / y->count;
    struct push_rows push = {.rows = (uint)length,
                             .columns = (uint)x->width,
                             .length = (uint)y->count,
                             .reciprocal = reciprocal(length)};
    launch(l, s, push, lower_groups(y->count), 4.0 * x->count);
    return OK;
}

enum status lower_embed(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *table = &s->inputs[0], *y = &s->results[0];
    struct push_rows push = {.rows = (uint)s->inputs[1].count,
                             .columns = (uint)table->width,
                             .length = (uint)(table->count / table->width)};
    checks_add_ids(l->checks, s->inputs[1].span, push.length);
    launch(l, s, push, lower_groups(y->count), 4.0 * y->count);
    return OK;
}

/* Zeroes the table, chains equal ids, then walks each chain. */
enum status lower_embed_grad(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct operand *ids = &s->inputs[0], *dy = &s->inputs[1], *y = &s->results[0];
    struct push_rows push = {
        .rows = (uint)ids->count, .columns = (uint)dy->width, .length = (uint)(y->count / y->width)};
    struct span next;
    if (!lowering_temporary(l, ids->count, &next))
        return status_fail(trace, DEVICE, "the gradient of an embedding of %u tokens does not fit a buffer",
                           push.rows);
    checks_add_ids(l->checks, ids->span, push.length);
    struct push_elements zero = {.count = (uint)y->count};
    commands_add(l->commands, KERNEL_zero, &y->span, &zero, lower_groups(y->count), (double)y->count);
    struct span chain[] = {ids->span, next};
    commands_add(l->commands, KERNEL_embed_chain, chain, &push, lower_groups(ids->count),
                 2.0 * ids->count * ids->count);
    struct span walk[] = {ids->span, next, dy->span, y->span};
    commands_add(l->commands, s->kernel, walk, &push, lower_groups(dy->count), 8.0 * dy->count);
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

/* x [b, s, d], table [p, d] */
enum status lower_add_positions(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct operand *x = &s->inputs[0], *table = &s->inputs[1];
    uint64_t start = (uint64_t)node_integer(s->node, ATTRIBUTE_start), length = (uint64_t)x->dims[1];
    if (start + length > (uint64_t)table->dims[0])
        return status_fail(trace, INVALID,
                           "add_positions: %" PRIu64 " positions, but the table has rows for %" PRIu64,
                           length, (uint64_t)table->dims[0] - start);
    struct push_elements push = {
        .count = (uint)x->count, .first = (uint)(start * x->width), .period = (uint)(length * x->width)};
    struct lower_spans all = lower_all_spans(s);
    commands_add(l->commands, s->kernel, all.spans, &push, lower_groups(x->count), 4.0 * x->count);
    return OK;
}

enum status lower_add_positions_grad(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *dy = &s->inputs[0], *table = &s->results[0];
    uint64_t start = (uint64_t)node_integer(s->node, ATTRIBUTE_start);
    struct push_elements push = {.count = (uint)table->count,
                                 .skip = (uint)dy->dims[0],
                                 .first = (uint)(start * dy->width),
                                 .period = (uint)((uint64_t)dy->dims[1] * dy->width)};
    struct lower_spans all = lower_all_spans(s);
    commands_add(l->commands, s->kernel, all.spans, &push, lower_groups(table->count), 4.0 * dy->count);
    return OK;
}

enum status lower_rope(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *x = &s->inputs[0];
    uint frequencies = (uint)s->inputs[1].dims[2];
    struct push_rotary push = {
        .batch = (uint)x->dims[0],
        .sequence = (uint)x->dims[1],
        .heads = (uint)x->dims[2] / (2 * frequencies),
        .frequencies = frequencies,
        .flip = node_integer(s->node, ATTRIBUTE_inverse) ? GM_SIGN : 0,
    };
    struct lower_spans all = lower_all_spans(s);
    commands_add(l->commands, s->kernel, all.spans, &push, lower_groups(x->count / 2), 8.0 * x->count);
    return OK;
}

enum status lower_rope_part(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct operand *x = &s->inputs[0];
    uint frequencies = (uint)s->inputs[1].dims[2], heads = (uint)node_integer(s->node, ATTRIBUTE_heads);
    struct push_rotary push = {
        .batch = (uint)x->dims[0],
        .sequence = (uint)x->dims[1],
        .heads = heads,
        .frequencies = frequencies,
        .flip = node_integer(s->node, ATTRIBUTE_inverse) ? GM_SIGN : 0,
        .rest = (uint)x->dims[2] / heads - 2 * frequencies,
    };
    struct lower_spans all = lower_all_spans(s);
    commands_add(l->commands, s->kernel, all.spans, &push, lower_groups(x->count), 8.0 * x->count);
    return OK;
}
