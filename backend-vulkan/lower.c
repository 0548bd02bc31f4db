/* The table of ops, and ops that work element by element. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/elements.h"
#include <assert.h>

static const struct {
    lower_function *how;
    enum kernel kernel;
} lower_table[OP_COUNT] = {
#define LOWER(op, how, kernel) [OP_##op] = {how, KERNEL_##kernel},
#include "backend-vulkan/kernels.def"
};

enum status lower_step(struct lowering *lowering, struct step *step, struct trace *trace)
{
    enum op op = step->node->op;
    if (!lower_table[op].how)
        return status_fail(trace, BROKEN, "no Vulkan kernel executes %s", op_table[op].name);
    step->kernel = lower_table[op].kernel;
    return lower_table[op].how(lowering, step, trace);
}

bool lowering_temporary(struct lowering *lowering, uint64_t count, struct span *out)
{
    uint64_t room = (count + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
    if (room > lowering->temporary_limit)
        return false;
    if (lowering->temporary_next + room > lowering->temporary_limit)
        lowering->temporary_next = 0;
    *out = (struct span){lowering->temporary, lowering->temporary_next, count};
    lowering->temporary_next += room;
    if (lowering->temporary_high < lowering->temporary_next)
        lowering->temporary_high = lowering->temporary_next;
    return true;
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

/* Operands of one shape. */
enum status lower_elements(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    launch_elements(l, s, (struct push_elements){.count = (uint)s->results[0].count}, 20);
    return OK;
}

/* Operands of one shape, or the second repeated for each row: finding its element takes a division, so that
 * is a kernel of its own. */
static enum status lower_broadcast(struct lowering *l, const struct step *s, enum kernel repeated)
{
    struct step step = *s;
    struct push_elements push = {.count = (uint)s->results[0].count, .period = (uint)s->inputs[1].count};
    if (push.count != push.period)
        step.kernel = repeated;
    launch_elements(l, &step, push, 4);
    return OK;
}

enum status lower_add(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    return lower_broadcast(l, s, KERNEL_add_rows);
}

enum status lower_mul(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    return lower_broadcast(l, s, KERNEL_mul_rows);
}

enum status lower_scale(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    float factor = node_real(s->node, ATTRIBUTE_scale);
    launch_elements(l, s, (struct push_elements){.count = (uint)s->results[0].count, .factor = factor}, 4);
    return OK;
}

enum status lower_spread(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_elements push = {.count = (uint)s->results[0].count, .period = (uint)s->results[0].width};
    launch_elements(l, s, push, 4);
    return OK;
}

/* Over its base only the part has to be written. */
enum status lower_place_rows(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    const struct span *base = &s->inputs[0].span, *to = &s->results[0].span;
    uint64_t first = (uint64_t)node_integer(s->node, ATTRIBUTE_start) * s->results[0].width;
    struct push_elements push = {
        .count = (uint)s->results[0].count, .first = (uint)first, .period = (uint)s->inputs[1].count};
    if (base->piece == to->piece && base->first == to->first) {
        push.skip = push.first;
        push.count = push.period;
    }
    launch_elements(l, s, push, 4);
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
