/* Element-wise ops, alone or in chains (ir/schedule.h): one launch of one kernel, which constants make the
 * chain. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/chain.h"
#include <assert.h>
#include <inttypes.h>

enum { CONSTANT_LOADS = CHAIN_STEPS, CONSTANT_STORES, CONSTANT_COUNT };
static_assert((int)CONSTANT_COUNT <= (int)KERNEL_CONSTANTS, "what the kernel is told");
static_assert(CHAIN_INPUTS + CHAIN_RESULTS <= DEVICE_BINDINGS, "a binding each");
static_assert(CHAIN_INPUTS + CHAIN_STEPS < 16, "four bits a register, plus one");

/* By what name the kernel knows an op; 0: not at all. */
static const uint32_t chain_names[OP_COUNT] = {
#define NAME(op) [OP_##op] = CHAIN_##op
    NAME(add),       NAME(mul),  NAME(scale),     NAME(silu),      NAME(silu_grad),      NAME(relu),
    NAME(relu_grad), NAME(gelu), NAME(gelu_grad), NAME(gelu_tanh), NAME(gelu_tanh_grad), NAME(tanh),
    NAME(tanh_grad),
#undef NAME
};

/* A launch that is being made. Spans: inputs, then results. */
struct builder_of_chain {
    uint32_t values[CHAIN_INPUTS + CHAIN_STEPS]; /* in each register */
    uint32_t input_count, result_count;
    uint32_t step; /* the last; CHAIN_STEPS before the first */
    uint32_t constants[KERNEL_CONSTANTS];
    struct span spans[DEVICE_BINDINGS];
    uint64_t periods[CHAIN_INPUTS]; /* elements of each input */
    float factors[CHAIN_STEPS];
    uint64_t count;
    double cost; /* of an element */
};

static uint32_t find_register(const struct builder_of_chain *b, uint32_t value)
{
    for (uint32_t i = 0; i < b->input_count; i++)
        if (b->values[i] == value)
            return i;
    for (uint32_t i = 0; i < CHAIN_STEPS; i++)
        if (b->constants[i] && b->values[CHAIN_INPUTS + i] == value)
            return CHAIN_INPUTS + i;
    return ID_NONE;
}

/* The register of a value that is loaded, or was. */
static uint32_t load(struct builder_of_chain *b, uint32_t value, struct span span)
{
    uint32_t found = find_register(b, value);
    if (found != ID_NONE)
        return found;
    assert(b->input_count < CHAIN_INPUTS && span.count > 0);
    uint32_t how = span.count == b->count ? CHAIN_LOAD_EACH : CHAIN_LOAD_REPEATED;
    b->constants[CONSTANT_LOADS] |= how << 2 * b->input_count;
    b->values[b->input_count] = value;
    b->periods[b->input_count] = span.count;
    b->spans[b->input_count] = span;
    return b->input_count++;
}

/* The step for an op behind step `last`; CHAIN_STEPS when there is none. */
static uint32_t place_step(enum op op, uint32_t last)
{
    uint32_t next = last == CHAIN_STEPS ? 0 : last + 1;
    if (chain_names[op] >= CHAIN_CURVED)
        return next <= CHAIN_CURVE ? CHAIN_CURVE : CHAIN_STEPS;
    return next == CHAIN_CURVE ? next + 1 : next;
}

/* `operands`: registers. */
static void take(struct builder_of_chain *b, enum op op, const uint32_t operands[2], float factor)
{
    b->step = place_step(op, b->step);
    assert(b->step < CHAIN_STEPS && chain_names[op]);
    b->constants[b->step] = chain_names[op] | operands[0] << 8 | operands[1] << 12;
    b->factors[b->step] = factor;
    b->cost += chain_names[op] >= CHAIN_CURVED ? 20 : 4;
}

/* The result of the last step. */
static void store(struct builder_of_chain *b, uint32_t value, struct span span)
{
    uint32_t at = CHAIN_INPUTS + b->step;
    b->values[at] = value;
    if (span.count == 0)
        return;
    assert(b->result_count < CHAIN_RESULTS);
    b->constants[CONSTANT_STORES] |= (at + 1) << 4 * b->result_count;
    b->spans[CHAIN_INPUTS + b->result_count++] = span;
}

/* Does all of it lie at multiples of four elements? Windows and segments do (window.h). */
static bool is_aligned(const struct builder_of_chain *b)
{
    for (uint32_t i = 0; i < b->input_count; i++)
        if (b->spans[i].first % 4 || (b->periods[i] != b->count && b->periods[i] % 4))
            return false;
    for (uint32_t i = 0; i < b->result_count; i++)
        if (b->spans[CHAIN_INPUTS + i].first % 4)
            return false;
    return true;
}

static void launch(struct lowering *l, struct builder_of_chain *b)
{
    struct push_chain push = {.count = (uint)b->count};
    uint *periods[] = {&push.period0, &push.period1, &push.period2, &push.period3, &push.period4};
    float *factors[] = {&push.factor0, &push.factor1, &push.factor2, &push.factor3,
                        &push.factor4, &push.factor5, &push.factor6};
    assert(b->input_count > 0 && b->result_count > 0);
    for (uint32_t i = 0; i < CHAIN_INPUTS; i++)
        *periods[i] = (uint)b->periods[i];
    for (uint32_t i = 0; i < CHAIN_STEPS; i++)
        *factors[i] = b->factors[i];
    if (is_aligned(b))
        b->constants[CONSTANT_LOADS] |= UINT32_C(1) << 31;
    struct launch *made = commands_add(l->commands, KERNEL_chain, b->spans, &push, (b->count + 255) / 256,
                                       b->cost * (double)b->count);
    for (uint32_t i = 0; i < KERNEL_CONSTANTS; i++)
        made->constants[i] = b->constants[i];
}

static bool allows(const enum op *ops, uint32_t count)
{
    uint32_t step = CHAIN_STEPS;
    for (uint32_t i = 0; i < count; i++) {
        step = place_step(ops[i], step);
        if (step >= CHAIN_STEPS)
            return false;
    }
    return true;
}

struct chain_limits lower_chain_limits(uint64_t binding)
{
    return (struct chain_limits){.nodes = CHAIN_STEPS,
                                 .inputs = CHAIN_INPUTS,
                                 .results = CHAIN_RESULTS,
                                 .allows = allows,
                                 .tail = lower_tail,
                                 .repeated = binding < INT64_MAX ? (int64_t)binding : INT64_MAX};
}

enum status lower_chain(struct lowering *l, const struct step *steps, uint32_t count, struct trace *trace)
{
    struct builder_of_chain b = {.count = steps[0].results[0].count, .step = CHAIN_STEPS};
    for (uint32_t i = 0; i < count; i++) {
        const struct node *node = steps[i].node;
        uint32_t operands[2] = {0};
        TRY(lower_check_counts(&steps[i], trace));
        for (uint32_t j = 0; j < node->input_count; j++)
            operands[j] = load(&b, node->inputs[j], steps[i].inputs[j].span);
        take(&b, node->op, operands, node->op == OP_scale ? node_real(node, ATTRIBUTE_scale) : 0);
        store(&b, node->results[0], steps[i].results[0].span);
    }
    launch(l, &b);
    return OK;
}

/* y = a op b, where b is repeated; a launch for each time where it is too large to be bound. */
static void launch_pair(struct lowering *l, enum op op, struct span a, struct span b, struct span y)
{
    uint64_t step = b.count > l->binding ? b.count : y.count;
    for (uint64_t first = 0; first < y.count; first += step) {
        struct builder_of_chain chain = {.count = step, .step = CHAIN_STEPS};
        uint32_t operands[2] = {load(&chain, 0, span_part(a, first, step)), load(&chain, 1, b)};
        take(&chain, op, operands, 0);
        store(&chain, 2, span_part(y, first, step));
        launch(l, &chain);
    }
}

/* One op with operands of one shape, or the second repeated. */
enum status lower_link(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct node *node = s->node;
    if (node->input_count < 2 || s->inputs[1].count == s->inputs[0].count)
        return lower_chain(l, s, 1, trace);
    launch_pair(l, node->op, s->inputs[0].span, s->inputs[1].span, s->results[0].span);
    return OK;
}

/* x [b, s, d], table [p, d]: s rows of the table are repeated for each sequence. */
enum status lower_add_positions(struct lowering *l, const struct step *s, struct trace *trace)
{
    const struct operand *x = &s->inputs[0], *table = &s->inputs[1];
    uint64_t start = (uint64_t)node_integer(s->node, ATTRIBUTE_start), length = (uint64_t)x->dims[1];
    if (start + length > (uint64_t)table->dims[0])
        return status_fail(trace, INVALID,
                           "add_positions: %" PRIu64 " positions, but the table has rows for %" PRIu64,
                           length, (uint64_t)table->dims[0] - start);
    launch_pair(l, OP_add, x->span, span_part(table->span, start * x->width, length * x->width),
                s->results[0].span);
    return OK;
}
