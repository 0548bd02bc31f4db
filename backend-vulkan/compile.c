/* From graph to commands: plan, lower node by node, give temporaries a place, record. */
#include "backend-vulkan/compile.h"
#include "backend-vulkan/lower.h"
#include "shaders/include/push/elements.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_PLACED = UINT32_MAX, TEMPORARY_ELEMENTS = 1 << 24 };

struct compiler {
    struct vulkan_program *program;
    const struct program_spec *spec;
    struct memory_plan plan;
    struct lowering lowering;
    struct trace *trace;
};

static uint64_t most_elements(const struct engine *engine)
{
    uint64_t bytes = engine->memory.max_buffer < engine->device.max_binding ? engine->memory.max_buffer
                                                                            : engine->device.max_binding;
    return bytes / 4 / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

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
    struct memory_limits limits = {(int64_t)most_elements(c->program->engine), MEMORY_ALIGNMENT};
    TRY(memory_plan_make(&c->plan, &c->program->arena, c->spec, limits, c->trace));
    for (uint32_t i = 0; i < c->spec->binding_count; i++)
        TRY(check_binding(c, &c->spec->bindings[i]));
    c->program->pieces = ARENA_ARRAY(&c->program->arena, uint32_t, c->plan.scratch_count + 2);
    for (uint32_t i = 0; i < c->plan.scratch_count; i++) {
        uint32_t piece;
        TRY(own_piece(c, DTYPE_F32, (uint64_t)c->plan.scratch_sizes[i], &piece));
    }
    return OK;
}

/* Sets the node's flag where a float of a result is not finite. */
static void add_check(struct compiler *c, uint32_t n, const struct step *step)
{
    const struct graph *graph = c->spec->graph;
    for (uint32_t i = 0; i < step->node->result_count; i++) {
        const struct operand *x = &step->results[i];
        if (graph_value(graph, step->node->results[i])->dtype != DTYPE_F32)
            continue;
        struct span spans[] = {x->span, {c->program->flags, n, 1}};
        struct push_elements push = {.count = (uint)x->count};
        commands_add(&c->program->commands, KERNEL_finite, spans, &push, lower_groups(x->count),
                     (double)x->count);
    }
}

static enum status lower_node(struct compiler *c, uint32_t n)
{
    const struct node *node = &c->spec->graph->nodes.items[n];
    struct step step = {.node = node};
    uint32_t before = c->program->commands.launches.count;
    for (uint32_t i = 0; i < node->input_count; i++)
        step.inputs[i] = operand_of(c, node->inputs[i]);
    for (uint32_t i = 0; i < node->result_count; i++)
        step.results[i] = operand_of(c, node->results[i]);
    TRY_WITH(c->trace, lower_step(&c->lowering, &step, c->trace), "while lowering node %" PRIu32 " (%s)", n,
             op_table[node->op].name);
    bool launches = c->program->commands.launches.count > before;
    if (launches)
        c->program->device_nodes++;
    if (launches && c->program->names) {
        c->program->names[n] = op_table[node->op].name;
        add_check(c, n, &step);
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
    TRY(make_plan(c));
    p->node_count = c->spec->graph->nodes.count;
    if (finite == VULKAN_FINITE_CHECKED && p->node_count) {
        TRY(own_piece(c, DTYPE_I32, p->node_count, &p->flags));
        p->names = ARENA_ARRAY(&p->arena, const char *, p->node_count);
        p->found = ARENA_ARRAY(&p->arena, int32_t, p->node_count);
    }
    uint64_t most = most_elements(p->engine);
    c->lowering = (struct lowering){
        .commands = &p->commands,
        .matmul = p->engine->matmul,
        .temporary = NOT_PLACED,
        .temporary_limit = most < TEMPORARY_ELEMENTS ? most : TEMPORARY_ELEMENTS,
    };
    for (uint32_t n = 0; n < p->node_count; n++)
        TRY(lower_node(c, n));
    TRY(place_temporaries(c));
    return commands_record(&p->commands, c->trace);
}

enum status vulkan_program_create(struct vulkan_program **out, struct engine *engine,
                                  const struct program_spec *spec, enum vulkan_finite finite,
                                  struct trace *trace)
{
    struct vulkan_program *program = calloc(1, sizeof *program);
    if (!program)
        BUG("out of memory");
    program->engine = engine;
    commands_init(&program->commands, &engine->memory, &engine->pipelines);
    struct compiler compiler = {.program = program, .spec = spec, .trace = trace};
    enum status status = compile(&compiler, finite);
    if (status != OK) {
        vulkan_program_destroy(program);
        return status;
    }
    *out = program;
    return OK;
}

static enum status check_flags(struct vulkan_program *p, struct trace *trace)
{
    TRY(memory_read(&p->engine->memory, p->flags, 0, p->node_count, p->found, trace));
    for (uint32_t n = 0; n < p->node_count; n++)
        if (p->found[n])
            return status_fail(trace, INVALID, "a result of node %" PRIu32 " (%s) is not finite", n,
                               p->names[n]);
    return OK;
}

enum status vulkan_program_run(struct vulkan_program *program, struct trace *trace)
{
    if (program->names)
        TRY(memory_zero(&program->engine->memory, program->flags, trace));
    TRY(commands_run(&program->commands, trace));
    return program->names ? check_flags(program, trace) : OK;
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
