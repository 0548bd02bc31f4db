/* The executor interface over host memory: tensors, and programs that run where they are. */
#include "backend-cpu/cpu.h"
#include "backend-cpu/isa.h"
#include "backend-cpu/program.h"
#include "backend-cpu/room.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cpu_executor {
    struct executor base;
    char name[64], hardware[96];
    struct program_host host;
    struct cpu_tensor *tensors; /* host.tensors; destroyed ones are used again */
    uint32_t capacity;
    struct executor_counters counters;
};

static struct cpu_executor *cpu_of(struct executor *executor)
{
    return (struct cpu_executor *)executor;
}

static uint32_t free_slot(struct cpu_executor *cpu)
{
    for (uint32_t i = 0; i < cpu->host.tensor_count; i++)
        if (!cpu_tensor_is_there(&cpu->tensors[i]))
            return i;
    if (cpu->host.tensor_count == cpu->capacity) {
        cpu->capacity = cpu->capacity ? 2 * cpu->capacity : 64;
        cpu->tensors = realloc(cpu->tensors, cpu->capacity * sizeof *cpu->tensors);
        if (!cpu->tensors)
            BUG("out of memory: %" PRIu32 " tensors", cpu->capacity);
        cpu->host.tensors = cpu->tensors;
    }
    cpu->tensors[cpu->host.tensor_count] = (struct cpu_tensor){0};
    return cpu->host.tensor_count++;
}

static enum status tensor_create(struct executor *executor, enum dtype dtype, int64_t count, uint32_t *out,
                                 struct trace *trace)
{
    struct cpu_executor *cpu = cpu_of(executor);
    if ((dtype != DTYPE_F32 && dtype != DTYPE_I32) || count <= 0 || count > INT64_MAX / 64)
        return status_fail(trace, INVALID,
                           "expected a tensor of f32 or i32, found %" PRId64 " elements of %s", count,
                           dtype < DTYPE_COUNT ? dtype_name(dtype) : "no type");
    size_t size = (size_t)count * (dtype == DTYPE_I32 ? sizeof(int32_t) : sizeof(real));
    void *data = room_allocate(size);
    if (!data)
        return status_fail(trace, DEVICE, "out of memory: a tensor of %zu bytes", size);
    memset(data, 0, size);
    *out = free_slot(cpu);
    cpu->tensors[*out] = (struct cpu_tensor){.data = data, .dtype = dtype, .count = count};
    return OK;
}

static enum status tensor_lend(struct executor *executor, const struct tensor_view *view, uint32_t *out,
                               struct trace *trace)
{
    struct cpu_executor *cpu = cpu_of(executor);
    int64_t count = tensor_view_count(view);
    if (!view->base || count <= 0)
        return status_fail(trace, INVALID, "expected a weight with elements, found %" PRId64, count);
    *out = free_slot(cpu);
    cpu->tensors[*out] = (struct cpu_tensor){.dtype = DTYPE_F32, .count = count, .lent = view};
    return OK;
}

static void tensor_destroy(struct executor *executor, uint32_t tensor)
{
    struct cpu_executor *cpu = cpu_of(executor);
    if (tensor >= cpu->host.tensor_count)
        return;
    free(cpu->tensors[tensor].data);
    cpu->tensors[tensor] = (struct cpu_tensor){0};
}

static enum status find_range(const struct cpu_tensor **out, struct executor *executor, uint32_t tensor,
                              int64_t first, int64_t count, struct trace *trace)
{
    struct cpu_executor *cpu = cpu_of(executor);
    if (tensor >= cpu->host.tensor_count || !cpu_tensor_is_there(&cpu->tensors[tensor]))
        return status_fail(trace, BROKEN, "there is no tensor %" PRIu32, tensor);
    const struct cpu_tensor *t = &cpu->tensors[tensor];
    if (first < 0 || count < 0 || first > t->count || count > t->count - first)
        return status_fail(trace, BROKEN,
                           "elements %" PRId64 " .. %" PRId64 " + %" PRId64 " are outside of tensor %" PRIu32
                           " with %" PRId64,
                           first, first, count, tensor, t->count);
    *out = t;
    return OK;
}

static enum status tensor_write(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                const void *data, struct trace *trace)
{
    const struct cpu_tensor *t = NULL;
    TRY(find_range(&t, executor, tensor, first, count, trace));
    if (t->lent)
        return status_fail(trace, BROKEN, "tensor %" PRIu32 " is a lent weight", tensor);
    if (t->dtype == DTYPE_I32) {
        memcpy((int32_t *)t->data + first, data, (size_t)count * sizeof(int32_t));
        return OK;
    }
    real *to = (real *)t->data + first;
    const float *from = data;
    for (int64_t i = 0; i < count; i++)
        to[i] = r_flush_square(from[i]);
    return OK;
}

static enum status tensor_read(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                               void *data, struct trace *trace)
{
    const struct cpu_tensor *t = NULL;
    TRY(find_range(&t, executor, tensor, first, count, trace));
    if (t->dtype == DTYPE_I32) {
        memcpy(data, (const int32_t *)t->data + first, (size_t)count * sizeof(int32_t));
        return OK;
    }
    if (t->lent) {
        executor_read_weight(t->lent, first, count, data);
        return OK;
    }
    const real *from = (const real *)t->data + first;
    float *to = data;
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)from[i];
    return OK;
}

static enum status compile(struct program **out, struct executor *executor, const struct program_spec *spec,
                           struct trace *trace)
{
    return program_compile(out, &cpu_of(executor)->host, spec, trace);
}

static enum status run(struct executor *executor, struct program *program, struct trace *trace)
{
    struct cpu_executor *cpu = cpu_of(executor);
    cpu->counters.dispatches += program->step_count;
    cpu->counters.device_nodes += program->step_count;
    cpu->host.stop = executor->stop;
    return program_run(program, &cpu->host, executor->profile, trace);
}

static void program_destroy(struct executor *executor, struct program *program)
{
    (void)executor;
    program_release(program);
}

static struct executor_counters counters(const struct executor *executor)
{
    return ((const struct cpu_executor *)executor)->counters;
}

static void destroy(struct executor *executor)
{
    struct cpu_executor *cpu = cpu_of(executor);
    for (uint32_t i = 0; i < cpu->host.tensor_count; i++)
        free(cpu->tensors[i].data);
    free(cpu->tensors);
    for (uint32_t i = 0; i < cpu_threads_count(cpu->host.threads); i++)
        cpu_threads_destroy(cpu->host.alone[i]);
    free(cpu->host.alone);
    cpu_threads_destroy(cpu->host.threads);
    free(cpu);
}

static const struct executor_interface interface = {
    .kind = "cpu",
    .tensor_create = tensor_create,
    .tensor_destroy = tensor_destroy,
    .tensor_lend = tensor_lend,
    .tensor_write = tensor_write,
    .tensor_read = tensor_read,
    .compile = compile,
    .run = run,
    .program_destroy = program_destroy,
    .counters = counters,
    .destroy = destroy,
};

static enum status create(struct executor **out, struct cpu_options options, struct isa_kernels kernels,
                          struct trace *trace)
{
    struct cpu_threads *threads;
    TRY(cpu_threads_create(&threads, options.threads, trace));
    struct cpu_executor *cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        BUG("out of memory: an executor");
    uint32_t count = cpu_threads_count(threads);
    cpu->host = (struct program_host){.kernels = kernels.table,
                                      .pack = kernels.pack,
                                      .threads = threads,
                                      .alone = calloc(count, sizeof(struct cpu_threads *)),
                                      .check = options.check_finite};
    if (!cpu->host.alone)
        BUG("out of memory: %" PRIu32 " threads", count);
    for (uint32_t i = 0; i < count; i++)
        TRY(cpu_threads_create(&cpu->host.alone[i], 1, trace)); /* starts no thread, so cannot fail */
    char processor[ISA_PROCESSOR];
    isa_processor_name(processor);
    snprintf(cpu->hardware, sizeof cpu->hardware, "%s, %" PRIu32 " thread%s", processor, count,
             count == 1 ? "" : "s");
    /* Which build was fastest may differ from run to run, so it is part of the name alone. */
    snprintf(cpu->name, sizeof cpu->name, "cpu (%" PRIu32 " thread%s, %s)", count, count == 1 ? "" : "s",
             kernels.name);
    cpu->base = (struct executor){.interface = &interface, .name = cpu->name, .hardware = cpu->hardware};
    *out = &cpu->base;
    return OK;
}

#ifdef ESPALIER_DOUBLE
enum status cpu_double_executor_create(struct executor **out, struct cpu_options options, struct trace *trace)
{
    return create(out, options, (struct isa_kernels){"double", kernel_table_double, kernel_pack_double},
                  trace);
}

enum status cpu_double_tensor_write(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                    const double *data, struct trace *trace)
{
    const struct cpu_tensor *t = NULL;
    TRY(find_range(&t, executor, tensor, first, count, trace));
    if (t->dtype != DTYPE_F32 || t->lent)
        return status_fail(trace, BROKEN, "tensor %" PRIu32 " does not hold floats", tensor);
    memcpy((real *)t->data + first, data, (size_t)count * sizeof *data);
    return OK;
}

enum status cpu_double_tensor_read(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                   double *data, struct trace *trace)
{
    const struct cpu_tensor *t = NULL;
    TRY(find_range(&t, executor, tensor, first, count, trace));
    if (t->dtype != DTYPE_F32 || t->lent)
        return status_fail(trace, BROKEN, "tensor %" PRIu32 " does not hold floats", tensor);
    memcpy(data, (const real *)t->data + first, (size_t)count * sizeof *data);
    return OK;
}
#else
enum status cpu_executor_create(struct executor **out, struct cpu_options options, struct trace *trace)
{
    struct isa_kernels kernels;
    TRY(isa_find_kernels(&kernels, options.isa, options.numerics, trace));
    return create(out, options, kernels, trace);
}
#endif
