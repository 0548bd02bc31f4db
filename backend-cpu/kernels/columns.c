/* column_sum, column_squares, the statistics of a sequence and what they share with rmsnorm_weight_grad. */
#include "backend-cpu/kernels/columns.h"
#include "backend-cpu/kernels/row.h"
#include "backend-cpu/kernels/tile.h"

struct sum {
    columns_add_function *add;
    const void *payload;
    int64_t rows, columns, blocks; /* of a group */
    real *partial;                 /* [groups, blocks, columns] */
    real *out;                     /* [groups, columns] */
};

static void sum_blocks(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct sum *s = payload;
    for (int64_t task = first; task < end; task++) {
        real *sum = s->partial + task * s->columns;
        int64_t group = task / s->blocks, start = task % s->blocks * PRODUCT_BLOCK;
        memset(sum, 0, (size_t)s->columns * sizeof *sum);
        for (int64_t t = start; t < least(start + PRODUCT_BLOCK, s->rows); t++)
            s->add(s->payload, group * s->rows + t, s->columns, sum);
    }
}

static void add_blocks(const struct sum *s, int64_t group)
{
    real *out = s->out + group * s->columns;
    memset(out, 0, (size_t)s->columns * sizeof *out);
    for (int64_t b = 0; b < s->blocks; b++) {
        const real *block = s->partial + (group * s->blocks + b) * s->columns;
        ELEMENTWISE
        for (int64_t c = 0; c < s->columns; c++)
            out[c] = out[c] + block[c];
    }
}

void columns_sum(struct cpu_threads *threads, real *out, int64_t groups, int64_t rows, int64_t columns,
                 columns_add_function *add, const void *payload)
{
    int64_t blocks = (rows + PRODUCT_BLOCK - 1) / PRODUCT_BLOCK;
    real *partial = cpu_threads_scratch(threads, CPU_SCRATCH_SHARED,
                                        sizeof(real) * (size_t)most(groups * blocks * columns, 1));
    struct sum sum = {add, payload, rows, columns, blocks, partial, out};
    cpu_threads_for(threads, groups * blocks, kernel_grain(least(rows, PRODUCT_BLOCK) * columns), sum_blocks,
                    &sum);
    for (int64_t g = 0; g < groups; g++)
        add_blocks(&sum, g);
}

static void add_row(const void *payload, int64_t t, int64_t columns, real *sum)
{
    const real *x = (const real *)payload + t * columns;
    ELEMENTWISE
    for (int64_t c = 0; c < columns; c++)
        sum[c] = sum[c] + x[c];
}

static void add_squares(const void *payload, int64_t t, int64_t columns, real *sum)
{
    const real *x = (const real *)payload + t * columns;
    ELEMENTWISE
    for (int64_t c = 0; c < columns; c++)
        sum[c] = sum[c] + x[c] * x[c];
}

static void add_magnitudes(const void *payload, int64_t t, int64_t columns, real *sum)
{
    const real *x = (const real *)payload + t * columns;
    ELEMENTWISE
    for (int64_t c = 0; c < columns; c++)
        sum[c] = sum[c] + r_abs(x[c]);
}

static void flush_all(real *x, int64_t count)
{
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++)
        x[i] = r_flush(x[i]);
}

/* x [T, d] -> y [d] */
void KERNEL(column_sum)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[0]);
    columns_sum(call->threads, kernel_result(call, 0), 1, kernel_rows(&call->inputs[0]), d, add_row,
                kernel_input(call, 0));
    flush_all(kernel_result(call, 0), d);
}

/* x [T, d] -> y [d] */
void KERNEL(column_squares)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[0]);
    columns_sum(call->threads, kernel_result(call, 0), 1, kernel_rows(&call->inputs[0]), d, add_squares,
                kernel_input(call, 0));
    flush_all(kernel_result(call, 0), d);
}

static void take_share(real *x, int64_t count, real share)
{
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++)
        x[i] = r_flush(r_flush(x[i]) * share);
}

/* x [b, s, c] -> y [b, c] */
void KERNEL(mean_abs)(struct kernel_call *call)
{
    const int64_t *dims = call->inputs[0].dims;
    real *y = kernel_result(call, 0), share = r_rcp(r_from_uint((uint)dims[1]));
    columns_sum(call->threads, y, dims[0], dims[1], dims[2], add_magnitudes, kernel_input(call, 0));
    take_share(y, dims[0] * dims[2], share);
}

/* x [b, s, c] -> y [b, c] */
void KERNEL(sequence_norm)(struct kernel_call *call)
{
    const int64_t *dims = call->inputs[0].dims;
    real *y = kernel_result(call, 0);
    columns_sum(call->threads, y, dims[0], dims[1], dims[2], add_squares, kernel_input(call, 0));
    row_roots(y, y, dims[0] * dims[2]);
}

struct deviations {
    const real *x, *mean; /* [b, s, c], [b, c] */
    int64_t length;       /* s */
};

static void add_deviations(const void *payload, int64_t t, int64_t columns, real *sum)
{
    const struct deviations *d = payload;
    const real *x = d->x + t * columns, *mean = d->mean + t / d->length * columns;
    ELEMENTWISE
    for (int64_t c = 0; c < columns; c++) {
        real deviation = r_flush(x[c] - mean[c]);
        sum[c] = sum[c] + deviation * deviation;
    }
}

/* x [b, s, c] -> mean, variance [b, c] */
void KERNEL(sequence_moments)(struct kernel_call *call)
{
    const int64_t *dims = call->inputs[0].dims;
    real *mean = kernel_result(call, 0), *variance = kernel_result(call, 1);
    real share = r_rcp(r_from_uint((uint)dims[1]));
    columns_sum(call->threads, mean, dims[0], dims[1], dims[2], add_row, kernel_input(call, 0));
    take_share(mean, dims[0] * dims[2], share);
    struct deviations deviations = {kernel_input(call, 0), mean, dims[1]};
    columns_sum(call->threads, variance, dims[0], dims[1], dims[2], add_deviations, &deviations);
    take_share(variance, dims[0] * dims[2], share);
}
