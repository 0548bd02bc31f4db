/* Learned positions: a row of a table added at each position, and the gradient of the table. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/vector.h"

enum { PRODUCT_ROWS = 512 }; /* the blocks of P_b */

static void add_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t s = call->inputs[0].dims[1], d = call->inputs[0].dims[2], start = call->attributes.start;
    for (int64_t t = first; t < end; t++) {
        const real *x = kernel_input(call, 0) + t * d, *row = kernel_input(call, 1) + (start + t % s) * d;
        real *y = kernel_result(call, 0) + t * d;
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            y[c] = r_flush(x[c] + row[c]);
    }
}

/* x [b, s, d], table [p, d] -> y [b, s, d] */
void KERNEL(add_positions)(struct kernel_call *call)
{
    int64_t last = call->attributes.start + call->inputs[0].dims[1] - 1, rows = call->inputs[1].dims[0];
    if (last >= rows) {
        call->fault = (struct kernel_fault){true, rows - call->attributes.start, last, rows};
        return;
    }
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(call->inputs[0].dims[2]),
                    add_range, call);
}

static void gradient_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct kernel_call *call = payload;
    int64_t b = call->inputs[0].dims[0], s = call->inputs[0].dims[1], d = call->inputs[0].dims[2];
    real *sum = cpu_threads_scratch(call->threads, thread, (size_t)d * sizeof *sum);
    for (int64_t row = first; row < end; row++) {
        real *out = kernel_result(call, 0) + row * d;
        int64_t position = row - call->attributes.start;
        memset(out, 0, (size_t)d * sizeof *out);
        if (position < 0 || position >= s)
            continue;
        for (int64_t block = 0; block < b; block += PRODUCT_ROWS) {
            memset(sum, 0, (size_t)d * sizeof *sum);
            for (int64_t i = block; i < least(block + PRODUCT_ROWS, b); i++) {
                const real *dy = kernel_input(call, 0) + (i * s + position) * d;
                ELEMENTWISE
                for (int64_t c = 0; c < d; c++)
                    sum[c] = sum[c] + dy[c];
            }
            ELEMENTWISE
            for (int64_t c = 0; c < d; c++)
                out[c] = out[c] + sum[c];
        }
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            out[c] = r_flush(out[c]);
    }
}

/* dy [b, s, d] -> table [rows, d] */
void KERNEL(add_positions_grad)(struct kernel_call *call)
{
    int64_t work = call->inputs[0].dims[0] * call->inputs[0].dims[2];
    cpu_threads_for(call->threads, call->results[0].dims[0], kernel_grain(work), gradient_range, call);
}
