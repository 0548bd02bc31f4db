/* From graph to commands: plan, lower node by node, give temporaries a place, record. */
#include "backend-vulkan/compile.h"
#include "backend-vulkan/lower.h"
#include "base/log.h"
#include "ir/finite.h"
#include "shaders/include/push/elements.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_PLACED = UINT32_MAX, TEMPORARY_ELEMENTS = 1 << 24 };

struct compiler {
    struct vulkan_program *program;
    struct program_spec spec; /* of the scheduled graph */
    struct schedule schedule;
    struct memory_plan plan;
    struct lowering lowering;
    const bool *watched; /* by value: must be finite; NULL: nothing is checked */
    struct trace *trace;
};

static enum status own_piece(struct compiler *c, enum dtype dtype, uint64_t count, uint32_t *piece)
{
    TRY(memory_create(&c->program->engine->memory, dtype, count, piece, c->trace));
    c->program->pieces[c->program->piece_count++] = *piece;
    return OK;
}

static struct operand operand_of(const struct compiler *c, uint32_t value)
{
    const struct place *place = &c->plan.places[value];
    struct operand operand = {
        .span = {place->tensor, (uint64_t)place->offset, (uint64_t)place->count},
        .rank = place->rank,
        .count = (uint64_t)place->count,
        .width = place->rank ? (uint64_t)place->dims[place->rank - 1] : 1,
    };
    if (place->kind == PLACE_PASSED)
        operand.span.count = 0;
    if (place->kind == PLACE_SCRATCH)
        operand.span.piece = c->program->pieces[place->tensor];
    memcpy(operand.dims, place->dims, sizeof operand.dims);
    return operand;
}

/* A bound tensor must hold its value; the plan has no say in that. */
static enum status check_binding(const struct compiler *c, const struct binding *b)
{
    const struct place *place = &c->plan.places[b->value];
    const struct memory_piece *piece = memory_piece(&c->program->engine->memory, b->tensor);
    if (place->kind == PLACE_TENSOR && (uint64_t)place->count > piece->count)
        return status_fail(c->trace, INVALID,
                           "value %" PRIu32 " has %" PRId64 " elements, its tensor holds %" PRIu64, b->value,
                           place->count, piece->count);
    return OK;
}

static enum status make_plan(struct compiler *c)
{
    struct memory_limits limits = {.buffer_elements = (int64_t)c->program->engine->memory.segment,
                                   .alignment = MEMORY_ALIGNMENT,
                                   .schedule = &c->schedule};
    TRY(memory_plan_make(&c->plan, &c->program->arena, &c->spec, limits, c->trace));
    memory_plan_note(&c->plan, c->spec.graph->nodes.count);
    for (uint32_t i = 0; i < c->spec.binding_count; i++)
        TRY(check_binding(c, &c->spec.bindings[i]));
    c->program->pieces = ARENA_ARRAY(&c->program->arena, uint32_t, c->plan.scratch_count + 2);
    for (uint32_t i = 0; i < c->plan.scratch_count; i++) {
        uint32_t piece;
        TRY(own_piece(c, DTYPE_F32, (uint64_t)c->plan.scratch_sizes[i], &piece));
    }
    return OK;
}

/* Every float of a watched result must be finite. */
static void check_results(struct compiler *c, const struct node *nodes, uint32_t count)
{
    for (uint32_t n = 0; n < count && c->watched; n++)
        for (uint32_t i = 0; i < nodes[n].result_count; i++)
            if (c->watched[nodes[n].results[i]])
                checks_add_finite(&c->program->checks, operand_of(c, nodes[n].results[i]).span, i);
}

/* As the twin names a node in its messages. */
static const char *describe(const struct compiler *c, const struct node *node)
{
    const char *label =
        arena_printf(&c->program->arena, "%%%" PRIu32 " = %s", node->results[0], op_table[node->op].name);
    if (node->origin.length)
        label = arena_printf(&c->program->arena, "%s (" STR_FORMAT ")", label, STR_ARGUMENT(node->origin));
    return label;
}

/* "silu mul", "matmul_nt add": the ops of a chain. */
static const char *name_of(const struct compiler *c, const struct node *nodes, uint32_t count)
{
    const char *name = op_table[nodes[0].op].name;
    for (uint32_t i = 1; i < count; i++)
        name = arena_printf(&c->program->arena, "%s %s", name, op_table[nodes[i].op].name);
    return name;
}

static struct step step_of(const struct compiler *c, const struct node *node)
{
    struct step step = {.node = node};
    for (uint32_t i = 0; i < node->input_count; i++)
        step.inputs[i] = operand_of(c, node->inputs[i]);
    for (uint32_t i = 0; i < node->result_count; i++)
        step.results[i] = operand_of(c, node->results[i]);
    return step;
}

/* A node, or the nodes of a chain, as the steps say. */
static enum status lower_steps(struct compiler *c, struct step *steps, uint32_t count)
{
    if (count > 1 && (op_table[steps->node->op].flags & OP_POINTWISE))
        return lower_chain(&c->lowering, steps, count, c->trace);
    lower_join_tail(steps, count);
    return lower_step(&c->lowering, steps, c->trace);
}

/* A node, or the nodes of a chain. */
static enum status lower_unit(struct compiler *c, uint32_t first, uint32_t count)
{
    const struct node *nodes = &c->spec.graph->nodes.items[first], *last = &nodes[count - 1];
    struct step *steps = ARENA_ARRAY(&c->program->arena, struct step, count);
    uint32_t before = c->program->commands.launches.count;
    for (uint32_t i = 0; i < count; i++)
        steps[i] = step_of(c, &nodes[i]);
    c->program->checks.label = describe(c, last);
    enum status status = lower_steps(c, steps, count);
    TRY_WITH(c->trace, status, "while lowering %s", c->program->checks.label);
    if (c->program->commands.launches.count == before)
        return OK;
    c->program->device_nodes += count;
    check_results(c, nodes, count);
    struct work work =
        count > 1 ? work_of_chain(nodes, count, c->plan.places) : work_of(nodes, c->plan.places);
    timing_note(&c->program->commands.timing,
                (struct timed_node){name_of(c, nodes, count), c->program->checks.label, work,
                                    c->program->commands.launches.count});
    return OK;
}

static enum status lower_nodes(struct compiler *c)
{
    uint32_t chain = 0;
    for (uint32_t n = 0; n < c->spec.graph->nodes.count;) {
        const struct chain *next = chain < c->schedule.chains.count ? &c->schedule.chains.items[chain] : NULL;
        uint32_t count = next && n == next->first ? next->end - n : 1;
        chain += count > 1;
        TRY(lower_unit(c, n, count));
        n += count;
    }
    return OK;
}

/* Temporaries were promised a piece whose size is known only now. */
static enum status place_temporaries(struct compiler *c)
{
    uint32_t piece;
    if (c->lowering.temporary_high == 0)
        return OK;
    TRY(own_piece(c, DTYPE_F32, c->lowering.temporary_high, &piece));
    struct commands *commands = &c->program->commands;
    for (uint32_t i = 0; i < commands->launches.count; i++)
        for (uint32_t j = 0; j < DEVICE_BINDINGS; j++)
            if (commands->launches.items[i].spans[j].piece == NOT_PLACED)
                commands->launches.items[i].spans[j].piece = piece;
    return OK;
}

static enum status compile(struct compiler *c, enum vulkan_finite finite)
{
    struct vulkan_program *p = c->program;
    uint64_t binding = window_limit(&p->engine->memory);
    struct schedule_options options = {.chains = lower_chain_limits(binding)};
    if (finite == VULKAN_FINITE_CHECKED)
        c->watched = finite_watched(&p->arena, c->spec.graph);
    options.chains.watched = c->watched;
    schedule_make(&c->schedule, &p->arena, &c->spec, options);
    c->spec.graph = &c->schedule.graph;
    TRY(make_plan(c));
    uint32_t nodes = c->spec.graph->nodes.count;
    if (nodes) {
        p->checks = (struct checks){.arena = &p->arena, .commands = &p->commands};
        p->checks.capacity = nodes * (NODE_MAX_RESULTS + 1);
        TRY(own_piece(c, DTYPE_I32, p->checks.capacity, &p->checks.flags));
        checks_start(&p->checks);
    }
    c->lowering = (struct lowering){
        .commands = &p->commands,
        .checks = &p->checks,
        .tuning = &p->engine->tuning,
        .temporary = NOT_PLACED,
        .binding = binding,
        .segment = p->engine->memory.segment,
        .temporary_limit = 16 * binding < TEMPORARY_ELEMENTS ? 16 * binding : TEMPORARY_ELEMENTS,
    };
    TRY(lower_nodes(c));
    TRY(place_temporaries(c));
    return commands_record(&p->commands, c->trace);
}

enum status vulkan_program_create(struct vulkan_program **out, struct engine *engine,
                                  const struct program_spec *spec, enum vulkan_finite finite,
                                  struct profile *profile, struct trace *trace)
{
    struct vulkan_program *program = calloc(1, sizeof *program);
    if (!program)
        BUG("out of memory");
    program->engine = engine;
    program->profile = profile;
    commands_init(&program->commands, &engine->memory, &engine->pipelines);
    if (profile)
        timing_init(&program->commands.timing, engine->memory.device);
    struct compiler compiler = {.program = program, .spec = *spec, .trace = trace};
    enum status status = compile(&compiler, finite);
    if (status != OK) {
        vulkan_program_destroy(program);
        return status;
    }
    *out = program;
    return OK;
}

enum status vulkan_program_run(struct vulkan_program *program, struct trace *trace)
{
    TRY(commands_run(&program->commands, trace));
    TRY(timing_report(&program->commands.timing, program->profile, clock_seconds(), trace));
    return checks_report(&program->checks, &program->engine->memory, trace);
}

void vulkan_program_destroy(struct vulkan_program *program)
{
    if (!program)
        return;
    commands_release(&program->commands);
    for (uint32_t i = 0; i < program->piece_count; i++)
        memory_destroy(&program->engine->memory, program->pieces[i]);
    arena_release(&program->arena);
    free(program);
}
