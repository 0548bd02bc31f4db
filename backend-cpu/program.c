/* Turns a graph and a memory plan into kernel calls, and runs them. */
#include "backend-cpu/program.h"
#include "backend-cpu/room.h"
#include "base/file.h"
#include "base/log.h"
#include "ir/finite.h"
#include "ir/memory_plan.h"
#include "ir/schedule.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static size_t element_size(enum dtype dtype)
{
    return dtype == DTYPE_I32 ? sizeof(int32_t) : sizeof(real);
}

static enum status allocate_scratch(struct program *program, const struct memory_plan *plan,
                                    struct trace *trace)
{
    program->scratch = ARENA_ARRAY(&program->arena, void *, plan->scratch_count);
    for (uint32_t i = 0; i < plan->scratch_count; i++) {
        size_t size = (size_t)plan->scratch_sizes[i] * sizeof(real);
        program->scratch[i] = room_allocate(size);
        if (!program->scratch[i])
            return status_fail(trace, DEVICE, "out of memory: %zu bytes for the values of a program", size);
        program->scratch_count++;
    }
    return OK;
}

/* Changes when the tensor is another one. */
static const void *tensor_place(const struct cpu_tensor *tensor)
{
    return tensor->data ? tensor->data : (const void *)tensor->lent;
}

/* Every bound tensor exists, has the type of its value and is large enough. */
static enum status check_bindings(struct program *program, const struct program_host *host,
                                  const struct program_spec *spec, const struct memory_plan *plan,
                                  struct trace *trace)
{
    program->uses = ARENA_ARRAY(&program->arena, struct cpu_use, spec->binding_count);
    for (uint32_t i = 0; i < spec->binding_count; i++) {
        struct binding b = spec->bindings[i];
        const struct value *value = graph_value(spec->graph, b.value);
        const struct place *place = &plan->places[b.value];
        if (b.tensor >= host->tensor_count || !cpu_tensor_is_there(&host->tensors[b.tensor]))
            return status_fail(trace, BROKEN,
                               "%%%" PRIu32 " is bound to tensor %" PRIu32 ", which does not exist", b.value,
                               b.tensor);
        const struct cpu_tensor *tensor = &host->tensors[b.tensor];
        enum dtype dtype = value->dtype == DTYPE_I32 ? DTYPE_I32 : DTYPE_F32;
        if (tensor->dtype != dtype || tensor->count < place->count)
            return status_fail(
                trace, BROKEN,
                "%%%" PRIu32 ": expected a tensor of %" PRId64 " %s elements, found %" PRId64 " %s", b.value,
                place->count, dtype_name(dtype), tensor->count, dtype_name(tensor->dtype));
        if (tensor->lent && value->origin != VALUE_TENSOR)
            return status_fail(trace, BROKEN, "%%%" PRIu32 " is bound to tensor %" PRIu32 ", a lent weight",
                               b.value, b.tensor);
        program->uses[program->use_count++] = (struct cpu_use){b.tensor, tensor_place(tensor)};
    }
    return OK;
}

static struct kernel_operand operand_of(const struct program *program, const struct program_host *host,
                                        const struct program_spec *spec, const struct memory_plan *plan,
                                        uint32_t value)
{
    const struct place *place = &plan->places[value];
    size_t offset = (size_t)place->offset * element_size(graph_value(spec->graph, value)->dtype);
    char *base = place->kind == PLACE_LOCAL     ? NULL /* each thread has its own */
                 : place->kind == PLACE_SCRATCH ? program->scratch[place->tensor]
                                                : host->tensors[place->tensor].data;
    struct kernel_operand operand = {
        .data = base ? base + offset : NULL, .count = place->count, .rank = place->rank};
    memcpy(operand.dims, place->dims, sizeof operand.dims);
    return operand;
}

#define READ_INTEGER(node, key) node_integer(node, key)
#define READ_REAL(node, key) node_real(node, key)
#define READ_OPTION(node, key) node_integer(node, key)
#define READ_OPTION_REAL(node, key) node_real(node, key)

static struct kernel_attributes attributes_of(const struct node *node)
{
    struct kernel_attributes attributes = {0};
    for (uint32_t i = 0; i < node->attribute_count; i++)
        switch (node->attributes[i].key) {
#define ATTRIBUTE(name, type, summary)                         \
    case ATTRIBUTE_##name:                                     \
        attributes.name = READ_##type(node, ATTRIBUTE_##name); \
        break;
#include "ir/attributes.def"
        default:
            break;
        }
    return attributes;
}

/* Operands that have no data are lent. */
static void note_lent(struct program *program, struct cpu_step *step, const struct program_host *host,
                      const struct memory_plan *plan, const struct node *node)
{
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct place *place = &plan->places[node->inputs[i]];
        if (step->call.inputs[i].data || place->kind == PLACE_LOCAL)
            continue;
        if (!step->lent) {
            step->lent = ARENA_NEW(&program->arena, struct lent);
            *step->lent = (struct lent){.op = node->op};
        }
        step->lent->views[i] = host->tensors[place->tensor].lent;
        step->lent->first[i] = place->offset;
    }
}

static void add_step(struct program *program, const struct program_host *host,
                     const struct program_spec *spec, const struct memory_plan *plan, const struct node *node)
{
    struct cpu_step *step = &program->steps[program->step_count++];
    step->kernel = host->kernels[node->op];
    step->op = node->op;
    step->work = work_of(node, plan->places);
    step->label =
        node->origin.length
            ? arena_printf(&program->arena, "%%%" PRIu32 " = %s (" STR_FORMAT ")", node->results[0],
                           op_table[node->op].name, STR_ARGUMENT(node->origin))
            : arena_printf(&program->arena, "%%%" PRIu32 " = %s", node->results[0], op_table[node->op].name);
    step->call = (struct kernel_call){.attributes = attributes_of(node),
                                      .input_count = node->input_count,
                                      .result_count = node->result_count,
                                      .threads = host->threads};
    for (uint32_t i = 0; i < node->input_count; i++)
        step->call.inputs[i] = operand_of(program, host, spec, plan, node->inputs[i]);
    for (uint32_t i = 0; i < node->result_count; i++)
        step->call.results[i] = operand_of(program, host, spec, plan, node->results[i]);
    note_lent(program, step, host, plan, node);
}

/* Notes which results of the last step must be finite. */
static void note_watched(struct program *program, const bool *watched, const struct node *node)
{
    for (uint32_t i = 0; i < node->result_count; i++)
        program->steps[program->step_count - 1].watched |= (uint32_t)watched[node->results[i]] << i;
}

static struct swept_operand swept_operand_of(const struct graph *graph, const struct memory_plan *plan,
                                             const struct sweep *sweep, uint32_t value, uint32_t axis)
{
    const struct place *place = &plan->places[value];
    const struct value *v = graph_value(graph, value);
    size_t size = element_size(v->dtype);
    if (place->kind == PLACE_LOCAL)
        return (struct swept_operand){SWEPT_LOCAL, (size_t)place->offset * sizeof(real)};
    if (v->rank == 0 || dims_find(&graph->dims, v->axes[0]) != axis)
        return (struct swept_operand){SWEPT_WHOLE, 0};
    return (struct swept_operand){SWEPT_ALONG, (size_t)(place->count / sweep->count) * size};
}

static void note_swept(struct program *program, struct cpu_step *step, const struct graph *graph,
                       const struct memory_plan *plan, const struct sweep *sweep, const struct node *node)
{
    uint32_t axis = dims_find(&graph->dims, graph_value(graph, node->results[0])->axes[0]);
    step->swept = ARENA_NEW(&program->arena, struct swept);
    for (uint32_t i = 0; i < node->input_count; i++)
        step->swept->inputs[i] = swept_operand_of(graph, plan, sweep, node->inputs[i], axis);
    for (uint32_t i = 0; i < node->result_count; i++)
        step->swept->results[i] = swept_operand_of(graph, plan, sweep, node->results[i], axis);
}

/* Weights that the items of a sweep share are laid out once, as long as that takes no more than a share of
 * memory. Returns the elements of all of them; gives them their places unless `memory` is NULL. */
static int64_t divide_packed(struct program *program, const struct program_host *host, real *memory)
{
    static const int64_t MOST_PACKED = INT64_C(1) << 24;
    int64_t at = 0;
    for (uint32_t i = 0; i < program->step_count; i++) {
        struct cpu_step *step = &program->steps[i];
        if (!step->swept || step->call.input_count < 2 || step->swept->inputs[1].walk != SWEPT_WHOLE)
            continue;
        int64_t size = (host->pack(&step->call, step->op, NULL) + 15) / 16 * 16;
        if (at + size > MOST_PACKED)
            continue;
        if (memory && size)
            step->call.packed = memory + at;
        at += size;
    }
    return at;
}

static enum status place_packed(struct program *program, const struct program_host *host, struct trace *trace)
{
    int64_t total = divide_packed(program, host, NULL);
    if (total == 0)
        return OK;
    program->packed = room_allocate((size_t)total * sizeof(real));
    if (!program->packed)
        return status_fail(trace, DEVICE, "out of memory: %" PRId64 " packed weights", total);
    (void)divide_packed(program, host, program->packed);
    return OK;
}

static enum status allocate_local(struct program *program, const struct program_host *host,
                                  const struct memory_plan *plan, struct trace *trace)
{
    size_t threads = cpu_threads_count(host->threads);
    program->local_bytes = ((size_t)plan->local_size * sizeof(real) + 4095) / 4096 * 4096;
    if (program->local_bytes == 0)
        return OK;
    size_t bytes;
    if (size_multiply(program->local_bytes, threads, &bytes))
        program->local = room_allocate(bytes);
    if (!program->local)
        return status_fail(trace, DEVICE, "out of memory: %zu bytes for each of %zu threads",
                           program->local_bytes, threads);
    return OK;
}

static void add_steps(struct program *program, const struct program_host *host,
                      const struct program_spec *spec, const struct memory_plan *plan,
                      const struct schedule *schedule)
{
    uint32_t s = 0;
    const bool *watched =
        host->check == CPU_CHECK_FINITE ? finite_watched(&program->arena, spec->graph) : NULL;
    program->steps = ARENA_ARRAY(&program->arena, struct cpu_step, spec->graph->nodes.count + 1);
    program->sweeps = ARENA_ARRAY(&program->arena, struct cpu_sweep, schedule->sweeps.count + 1);
    for (uint32_t n = 0; n < spec->graph->nodes.count; n++) {
        const struct node *node = &spec->graph->nodes.items[n];
        const struct sweep *sweep = s < schedule->sweeps.count ? &schedule->sweeps.items[s] : NULL;
        if (op_table[node->op].flags & OP_VIEW)
            continue;
        add_step(program, host, spec, plan, node);
        if (watched)
            note_watched(program, watched, node);
        if (!sweep || n < sweep->first)
            continue;
        note_swept(program, &program->steps[program->step_count - 1], spec->graph, plan, sweep, node);
        if (n == sweep->first)
            program->sweeps[program->sweep_count++] =
                (struct cpu_sweep){.first = program->step_count - 1, .count = sweep->count};
        program->sweeps[program->sweep_count - 1].end = program->step_count;
        s += n + 1 == sweep->end;
    }
}

/* By value: weights that are lent, and views of them. */
static const bool *find_lent(struct program *program, const struct program_host *host,
                             const struct program_spec *spec)
{
    bool *lent = ARENA_ARRAY(&program->arena, bool, spec->graph->values.count + 1);
    for (uint32_t i = 0; i < spec->binding_count; i++) {
        uint32_t tensor = spec->bindings[i].tensor;
        lent[spec->bindings[i].value] = tensor < host->tensor_count && host->tensors[tensor].lent;
    }
    for (uint32_t n = 0; n < spec->graph->nodes.count; n++) {
        const struct node *node = &spec->graph->nodes.items[n];
        if (op_table[node->op].flags & OP_VIEW)
            lent[node->results[0]] = lent[node->inputs[0]];
    }
    return lent;
}

static enum status compile(struct program *program, const struct program_host *host,
                           const struct program_spec *original, struct trace *trace)
{
    struct memory_plan plan;
    struct schedule schedule;
    schedule_make(&schedule, &program->arena, original,
                  (struct schedule_options){.workers = (int64_t)cpu_threads_count(host->threads),
                                            .kept = find_lent(program, host, original)});
    struct program_spec spec = *original;
    spec.graph = &schedule.graph;
    TRY(memory_plan_make(&plan, &program->arena, &spec, (struct memory_limits){.schedule = &schedule},
                         trace));
    memory_plan_note(&plan, spec.graph->nodes.count);
    TRY(check_bindings(program, host, &spec, &plan, trace));
    TRY(allocate_scratch(program, &plan, trace));
    TRY(allocate_local(program, host, &plan, trace));
    add_steps(program, host, &spec, &plan, &schedule);
    return place_packed(program, host, trace);
}

enum status program_compile(struct program **out, const struct program_host *host,
                            const struct program_spec *spec, struct trace *trace)
{
    struct program *program = calloc(1, sizeof *program);
    if (!program)
        BUG("out of memory: a program");
    enum status status = compile(program, host, spec, trace);
    if (status == OK)
        *out = program;
    else
        program_release(program);
    return status;
}

/* In blocks, whose counters are as wide as what is counted. */
static int64_t count_non_finite(const real *x, int64_t count)
{
    enum { BLOCK = 4096 };
    int64_t found = 0;
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t end = first + BLOCK < count ? first + BLOCK : count;
        uint32_t here = 0;
        for (int64_t i = first; i < end; i++)
            here += !r_is_finite(x[i]);
        found += here;
    }
    return found;
}

int64_t step_count_bad(const struct kernel_call *call, uint32_t watched, uint32_t *result)
{
    for (uint32_t r = 0; r < call->result_count; r++) {
        if (!(watched >> r & 1))
            continue;
        int64_t bad = count_non_finite(call->results[r].data, call->results[r].count);
        *result = r;
        if (bad)
            return bad;
    }
    return 0;
}

enum status step_check(const struct cpu_step *step, const struct kernel_fault *fault, uint32_t result,
                       int64_t bad, struct trace *trace)
{
    if (fault->raised)
        return status_fail(trace, INVALID,
                           "%s: element %" PRId64 " is %" PRId64 ", expected one of 0 .. %" PRId64,
                           step->label, fault->position, fault->found, fault->limit - 1);
    if (bad)
        return status_fail(trace, NOT_FINITE,
                           "non-finite value in result of %s, or in what that is made from: %" PRId64
                           " of %" PRId64 " elements of result %" PRIu32,
                           step->label, bad, step->call.results[result].count, result);
    return OK;
}

static enum status run_step(struct program *program, struct cpu_step *step, struct trace *trace)
{
    step->call.fault.raised = false;
    if (step->lent)
        TRY_WITH(trace, lent_run(step->kernel, &step->call, step->lent, &program->room, trace), "in %s",
                 step->label);
    else
        step->kernel(&step->call);
    uint32_t result = 0;
    int64_t bad = step->call.fault.raised ? 0 : step_count_bad(&step->call, step->watched, &result);
    return step_check(step, &step->call.fault, result, bad, trace);
}

enum status program_run(struct program *program, const struct program_host *host, struct profile *profile,
                        struct trace *trace)
{
    for (uint32_t i = 0; i < program->use_count; i++)
        if (program->uses[i].tensor >= host->tensor_count ||
            tensor_place(&host->tensors[program->uses[i].tensor]) != program->uses[i].data)
            return status_fail(trace, BROKEN, "tensor %" PRIu32 " was destroyed while a program used it",
                               program->uses[i].tensor);
    uint32_t sweep = 0;
    for (uint32_t i = 0; i < program->step_count;) {
        if (executor_is_stopped(host->stop))
            return status_fail(trace, INTERRUPTED, "interrupted");
        if (sweep < program->sweep_count && i == program->sweeps[sweep].first) {
            TRY(sweep_run(program, &program->sweeps[sweep], host, profile, trace));
            i = program->sweeps[sweep++].end;
            continue;
        }
        struct cpu_step *step = &program->steps[i++];
        double start = profile ? clock_seconds() : 0;
        TRY(run_step(program, step, trace));
        if (profile)
            profile_span(profile, &(struct profile_span){PROFILE_DEVICE, op_table[step->op].name, step->label,
                                                         start, clock_seconds(), step->work});
    }
    return OK;
}

void program_release(struct program *program)
{
    if (!program)
        return;
    for (uint32_t i = 0; i < program->scratch_count; i++)
        free(program->scratch[i]);
    free(program->packed);
    free(program->local);
    lent_room_release(&program->room);
    arena_release(&program->arena);
    free(program);
}
