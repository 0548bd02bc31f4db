/* The executor interface on a Vulkan device. */
#include "backend-vulkan/compile.h"
#include "backend-vulkan/selftest.h"
#include "backend-vulkan/tuning_measure.h"
#include "backend-vulkan/vulkan.h"
#include <assert.h>
#include <stdlib.h>

struct vulkan_executor {
    struct executor base; /* must be first */
    struct arena arena;   /* name and hardware */
    struct instance instance;
    struct engine engine;
    enum vulkan_finite finite;
    struct executor_counters counters;
};

static struct vulkan_executor *self(struct executor *executor)
{
    return (struct vulkan_executor *)executor;
}

static enum status tensor_create(struct executor *executor, enum dtype dtype, int64_t count, uint32_t *out,
                                 struct trace *trace)
{
    assert(count > 0 && (dtype == DTYPE_F32 || dtype == DTYPE_I32));
    return memory_create(&self(executor)->engine.memory, dtype, (uint64_t)count, out, trace);
}

static void tensor_destroy(struct executor *executor, uint32_t tensor)
{
    memory_destroy(&self(executor)->engine.memory, tensor);
}

static enum status tensor_write(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                const void *data, struct trace *trace)
{
    return memory_write(&self(executor)->engine.memory, tensor, (uint64_t)first, (uint64_t)count, data,
                        trace);
}

static enum status tensor_read(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                               void *data, struct trace *trace)
{
    return memory_read(&self(executor)->engine.memory, tensor, (uint64_t)first, (uint64_t)count, data, trace);
}

/* struct program is opaque: ours is a vulkan_program. */
static enum status compile(struct program **out, struct executor *executor, const struct program_spec *spec,
                           struct trace *trace)
{
    struct vulkan_program *program = NULL;
    TRY(vulkan_program_create(&program, &self(executor)->engine, spec, self(executor)->finite,
                              executor->profile, trace));
    *out = (struct program *)program;
    return OK;
}

static enum status run(struct executor *executor, struct program *program, struct trace *trace)
{
    struct vulkan_program *p = (struct vulkan_program *)program;
    self(executor)->engine.device.stop = executor->stop;
    TRY(vulkan_program_run(p, trace));
    self(executor)->counters.dispatches += p->commands.dispatches;
    self(executor)->counters.device_nodes += p->device_nodes;
    return OK;
}

static void program_destroy(struct executor *executor, struct program *program)
{
    (void)executor;
    vulkan_program_destroy((struct vulkan_program *)program);
}

static struct executor_counters counters(const struct executor *executor)
{
    return ((const struct vulkan_executor *)executor)->counters;
}

static void destroy(struct executor *executor)
{
    struct vulkan_executor *e = self(executor);
    engine_release(&e->engine);
    instance_release(&e->instance);
    arena_release(&e->arena);
    free(e);
}

static const struct executor_interface interface = {
    .kind = "vulkan",
    .tensor_create = tensor_create,
    .tensor_destroy = tensor_destroy,
    .tensor_write = tensor_write,
    .tensor_read = tensor_read,
    .compile = compile,
    .run = run,
    .program_destroy = program_destroy,
    .counters = counters,
    .destroy = destroy,
};

static enum status open_executor(struct vulkan_executor *e, const struct vulkan_options *options,
                                 struct trace *trace)
{
    struct selftest_verdict verdict;
    uint32_t index = 0;
    TRY(instance_open(&e->instance, options->validation, trace));
    TRY(instance_select(&e->instance, options->selector, &index, trace));
    struct vulkan_device_info info = instance_describe(e->instance.devices[index], &e->arena);
    e->base.name = info.name;
    e->base.hardware = arena_printf(&e->arena, "%s, %s", info.name, info.driver);
    TRY_WITH(trace, engine_open(&e->engine, &e->instance, index, options, trace), "while opening %s",
             info.name);
    if (options->selftest == VULKAN_SELFTEST_SKIPPED)
        return OK;
    TRY_WITH(trace, selftest_run(&verdict, &e->engine, trace), "while testing %s (%s)", info.name,
             info.driver);
    if (!verdict.passed)
        return status_fail(trace, DEVICE, "%s (%s) does not compute golden bytes: %s", info.name, info.driver,
                           verdict.why);
    TRY_WITH(trace, selftest_settle(&e->engine, options, trace), "while testing the products of %s",
             info.name);
    e->base.operands = arithmetic_table[e->engine.tuning.arithmetic].operands;
    if (options->cache && !options->variant)
        TRY_WITH(trace, engine_tune(&e->engine, options->cache, trace), "while measuring the kernels of %s",
                 info.name);
    return OK;
}

enum status vulkan_executor_create(struct executor **out, const struct vulkan_options *options,
                                   struct trace *trace)
{
    struct vulkan_executor *e = calloc(1, sizeof *e);
    if (!e)
        BUG("out of memory");
    e->base.interface = &interface;
    e->finite = options->finite;
    enum status status = open_executor(e, options, trace);
    if (status != OK) {
        destroy(&e->base);
        return status;
    }
    *out = &e->base;
    return OK;
}

enum status vulkan_check_guards(struct executor *executor, struct trace *trace)
{
    assert(executor->interface == &interface);
    return memory_check_guards(&self(executor)->engine.memory, trace);
}
