/* Dispatch through the executor's interface. */
#include "ir/executor.h"
#include <stdlib.h>
#include <string.h>

enum status executor_tensor_create(struct executor *executor, enum dtype dtype, int64_t count, uint32_t *out,
                                   struct trace *trace)
{
    return executor->interface->tensor_create(executor, dtype, count, out, trace);
}

void executor_tensor_destroy(struct executor *executor, uint32_t tensor)
{
    executor->interface->tensor_destroy(executor, tensor);
}

enum status executor_tensor_write(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                  const void *data, struct trace *trace)
{
    return executor->interface->tensor_write(executor, tensor, first, count, data, trace);
}

enum status executor_tensor_read(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                 void *data, struct trace *trace)
{
    return executor->interface->tensor_read(executor, tensor, first, count, data, trace);
}

enum status executor_compile(struct program **out, struct executor *executor, const struct program_spec *spec,
                             struct trace *trace)
{
    return executor->interface->compile(out, executor, spec, trace);
}

enum status executor_run(struct executor *executor, struct program *program, struct trace *trace)
{
    return executor->interface->run(executor, program, trace);
}

void executor_program_destroy(struct executor *executor, struct program *program)
{
    if (program)
        executor->interface->program_destroy(executor, program);
}

struct executor_counters executor_counters(const struct executor *executor)
{
    return executor->interface->counters(executor);
}

void executor_destroy(struct executor *executor)
{
    if (executor)
        executor->interface->destroy(executor);
}

/* gm_flush of shaders/scalar/bits.h, which this layer may not include: what products may read. */
static void flush_panel(float *panel, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits, magnitude;
        memcpy(&bits, &panel[i], sizeof bits);
        magnitude = bits & 0x7fffffffu;
        bits = magnitude < 0x26000000u ? 0 : magnitude > 0x7f800000u ? 0x7fc00000u : bits; /* 2^-51, inf */
        memcpy(&panel[i], &bits, sizeof bits);
    }
}

void executor_read_weight(const struct tensor_view *view, int64_t first, int64_t count, float *out)
{
    tensor_view_read_f32(view, first, count, out);
    flush_panel(out, count);
}

enum status executor_lend(struct executor *executor, const struct tensor_view *view, uint32_t *out,
                          struct trace *trace)
{
    if (!executor->interface->tensor_lend || view->dtype == DTYPE_I32)
        return executor_upload(executor, view, out, trace);
    return executor->interface->tensor_lend(executor, view, out, trace);
}

enum status executor_upload(struct executor *executor, const struct tensor_view *view, uint32_t *out,
                            struct trace *trace)
{
    enum { PANEL = 1 << 18 };
    int64_t count = tensor_view_count(view);
    TRY(executor_tensor_create(executor, view->dtype == DTYPE_I32 ? DTYPE_I32 : DTYPE_F32, count, out,
                               trace));
    float *panel = malloc(sizeof *panel * PANEL);
    if (!panel)
        BUG("out of memory");
    enum status status = OK;
    for (int64_t first = 0; first < count && status == OK; first += PANEL) {
        int64_t n = count - first < PANEL ? count - first : PANEL;
        if (view->dtype == DTYPE_I32)
            tensor_view_read_raw(view, first, n, panel);
        else
            executor_read_weight(view, first, n, panel);
        status = executor_tensor_write(executor, *out, first, n, panel, trace);
        tensor_view_drop(view, first, n);
    }
    free(panel);
    if (status != OK)
        executor_tensor_destroy(executor, *out);
    return status;
}
