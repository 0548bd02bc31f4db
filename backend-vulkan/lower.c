/* The table of ops, temporaries, and what small ops need. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/elements.h"
#include "shaders/include/push/matmul.h"
#include <assert.h>
#include <inttypes.h>

static const struct {
    lower_function *how;
    enum kernel kernel;
} lower_table[OP_COUNT] = {
#define LOWER(op, how, kernel) [OP_##op] = {how, KERNEL_##kernel},
#include "backend-vulkan/kernels.def"
};

static const enum tail tail_table[OP_COUNT] = {
#define TAIL(op, what) [OP_##op] = what,
#include "backend-vulkan/kernels.def"
};

enum tail lower_tail(enum op op)
{
    return tail_table[op];
}

/* The operand that is not what the node before passes on. */
static const struct operand *added_by(const struct step *addition, const struct step *before)
{
    bool is_second = addition->node->inputs[0] == before->node->results[0];
    return &addition->inputs[is_second];
}

void lower_join_tail(struct step *steps, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct operand *added = added_by(&steps[i], &steps[i - 1]);
        if (added->rank == 1 && steps->results[0].rank > 1)
            steps->bias = added->span;
        else
            steps->addend = added->span;
    }
    steps->results[0] = steps[count - 1].results[0];
}

static enum status check_count(uint64_t count, struct trace *trace)
{
    if (count <= UINT32_MAX - 64 * 64)
        return OK;
    return status_fail(trace, DEVICE, "an operand has %" PRIu64 " elements, kernels count to 2^32", count);
}

enum status lower_check_counts(const struct step *step, struct trace *trace)
{
    for (uint32_t i = 0; i < step->node->input_count; i++)
        TRY(check_count(step->inputs[i].count, trace));
    for (uint32_t i = 0; i < step->node->result_count; i++)
        TRY(check_count(step->results[i].count, trace));
    return OK;
}

enum status lower_step(struct lowering *lowering, struct step *step, struct trace *trace)
{
    enum op op = step->node->op;
    if (!lower_table[op].how)
        return status_fail(trace, BROKEN, "no Vulkan kernel executes %s", op_table[op].name);
    step->kernel = lower_table[op].kernel;
    TRY(lower_check_counts(step, trace));
    enum status status = lower_table[op].how(lowering, step, trace);
    lowering_forget(lowering);
    return status;
}

static uint64_t room_for(uint64_t count)
{
    return (count + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

/* Where a temporary can start that should start at `at`. */
static uint64_t inside_segment(const struct lowering *l, uint64_t at, uint64_t room)
{
    return at % l->segment + room > l->segment ? (at / l->segment + 1) * l->segment : at;
}

static struct span place_temporary(struct lowering *l, uint64_t at, uint64_t count)
{
    uint64_t end = at + room_for(count);
    if (l->temporary_high < end)
        l->temporary_high = end;
    return (struct span){l->temporary, at, count};
}

bool lowering_temporary(struct lowering *lowering, uint64_t count, struct span *out)
{
    uint64_t room = room_for(count), from = lowering->temporary_kept;
    uint64_t at = inside_segment(lowering, lowering->temporary_next, room);
    if (at + room > from + lowering->temporary_limit)
        at = inside_segment(lowering, from, room);
    if (room > lowering->binding || at + room > from + lowering->temporary_limit)
        return false;
    *out = place_temporary(lowering, at, count);
    lowering->temporary_next = at + room;
    return true;
}

enum status lowering_keep(struct lowering *lowering, uint64_t count, struct span *out, struct trace *trace)
{
    uint64_t room = room_for(count), at = inside_segment(lowering, lowering->temporary_kept, room);
    if (room > lowering->binding)
        return status_fail(trace, DEVICE,
                           "a part of an operand has %" PRIu64 " bytes, this device binds at most %" PRIu64,
                           count * 4, lowering->binding * 4);
    *out = place_temporary(lowering, at, count);
    lowering->temporary_kept = at + room;
    if (lowering->temporary_next < lowering->temporary_kept)
        lowering->temporary_next = lowering->temporary_kept;
    return OK;
}

void lowering_forget(struct lowering *lowering)
{
    lowering->temporary_kept = 0;
}

struct span span_part(struct span span, uint64_t first, uint64_t count)
{
    assert(first + count <= span.count);
    return (struct span){span.piece, span.first + first, count};
}

/* As many rows at a time as both sides can bind. */
void lower_add_copy(struct lowering *lowering, const struct lower_copy *copy)
{
    uint64_t from_width = (copy->columns - 1) * copy->from_column + 1, limit = lowering->binding;
    assert(from_width <= limit && copy->padded <= limit);
    uint64_t most = (limit - from_width) / copy->from_row + 1,
             to_most = (limit - copy->padded) / copy->to_row + 1;
    most = most < to_most ? most : to_most;
    for (uint64_t row = 0; row < copy->rows; row += most) {
        uint64_t rows = copy->rows - row < most ? copy->rows - row : most;
        struct span spans[] = {
            span_part(copy->from, row * copy->from_row, (rows - 1) * copy->from_row + from_width),
            span_part(copy->to, row * copy->to_row, (rows - 1) * copy->to_row + copy->padded)};
        struct push_matmul push = {.depth = (uint)rows,
                                   .columns = (uint)copy->columns,
                                   .w_step = (uint)copy->from_row,
                                   .w_column = (uint)copy->from_column,
                                   .y_row = (uint)copy->to_row,
                                   .padded = (uint)copy->padded};
        uint64_t count = rows * copy->padded;
        commands_add(lowering->commands, KERNEL_repack, spans, &push, lower_groups(count),
                     2.0 * (double)count);
    }
}

uint64_t lower_groups(uint64_t count)
{
    return (count + 63) / 64;
}

struct lower_spans lower_all_spans(const struct step *step)
{
    struct lower_spans all = {0};
    uint32_t n = 0;
    assert(step->node->input_count + step->node->result_count <= DEVICE_BINDINGS);
    for (uint32_t i = 0; i < step->node->input_count; i++)
        all.spans[n++] = step->inputs[i].span;
    for (uint32_t i = 0; i < step->node->result_count; i++)
        all.spans[n++] = step->results[i].span;
    if (n < DEVICE_BINDINGS)
        all.spans[n] = step->addend;
    return all;
}

static void launch_elements(struct lowering *l, const struct step *s, struct push_elements push, double cost)
{
    struct lower_spans all = lower_all_spans(s);
    commands_add(l->commands, s->kernel, all.spans, &push, lower_groups(push.count), cost * push.count);
}

enum status lower_view(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)l, (void)s, (void)trace; /* the plan has placed the result inside its operand */
    return OK;
}

/* A kernel with an element of the result a lane. */
enum status lower_elements(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    launch_elements(l, s, (struct push_elements){.count = (uint)s->results[0].count}, 20);
    return OK;
}

enum status lower_spread(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_elements push = {.count = (uint)s->results[0].count, .period = (uint)s->results[0].width};
    launch_elements(l, s, push, 4);
    return OK;
}

static void launch_copy(struct lowering *l, struct span from, struct span to)
{
    struct push_elements push = {.count = (uint)to.count};
    struct span spans[] = {from, to};
    if (to.count)
        commands_add(l->commands, KERNEL_copy, spans, &push, lower_groups(to.count), 2.0 * (double)to.count);
}

/* Over its base only the part has to be written. */
enum status lower_place_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct span base = s->inputs[0].span, part = s->inputs[1].span, to = s->results[0].span;
    uint64_t first = (uint64_t)node_integer(s->node, ATTRIBUTE_start) * s->results[0].width,
             end = first + part.count;
    if (base.piece != to.piece || base.first != to.first) {
        launch_copy(l, span_part(base, 0, first), span_part(to, 0, first));
        launch_copy(l, span_part(base, end, base.count - end), span_part(to, end, to.count - end));
    }
    launch_copy(l, part, span_part(to, first, part.count));
    return OK;
}

enum status lower_clip(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    launch_elements(l, s, (struct push_elements){.count = 1}, 100);
    return OK;
}

enum status lower_adamw(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_elements push = {.count = (uint)s->inputs[0].count,
                                 .decay = (uint)node_integer(s->node, ATTRIBUTE_decay)};
    launch_elements(l, s, push, 100);
    return OK;
}
