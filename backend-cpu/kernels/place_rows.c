/* A value with some of its rows replaced; as a rule it lies over the base and only the rows are copied. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/vector.h"

struct copy {
    real *to;
    const real *from;
};

static void copy_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct copy *copy = payload;
    memcpy(copy->to + first, copy->from + first, (size_t)(end - first) * sizeof(real));
}

/* base [..., d], part [n, d] -> y like base, rows start .. start + n - 1 from part */
void KERNEL(place_rows)(struct kernel_call *call)
{
    const struct kernel_operand *part = &call->inputs[1];
    real *y = kernel_result(call, 0);
    int64_t start = call->attributes.start * kernel_last_dim(part);
    struct copy base = {y, kernel_input(call, 0)}, rows = {y + start, part->data};
    if (base.from != y)
        cpu_threads_for(call->threads, call->results[0].count, kernel_grain(1), copy_range, &base);
    if (rows.from != rows.to)
        cpu_threads_for(call->threads, part->count, kernel_grain(1), copy_range, &rows);
}
