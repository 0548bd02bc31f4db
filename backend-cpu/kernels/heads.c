/* Products within each head of a row: P_c over the head's elements. Heads of a row are neighbours, so a group
 * of LANES heads is transposed on the way and then added element by element. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/tile.h"

enum { GROUP = 16 };

/* sum [count <= GROUP]: P_c a[h * width + c] * b[h * width + c] for each head h. */
static void head_products(const real *a, const real *b, int64_t width, int64_t count, real *sum)
{
    for (int64_t h = 0; h < count; h++)
        sum[h] = 0;
    for (int64_t block = 0; block < width; block += PRODUCT_BLOCK) {
        real part[GROUP] = {0};
        int64_t end = least(block + PRODUCT_BLOCK, width);
        if (count == GROUP)
            for (int64_t c = block; c < end; c++)
                for (int64_t h = 0; h < GROUP; h++)
                    part[h] = part[h] + a[h * width + c] * b[h * width + c];
        else
            for (int64_t h = 0; h < count; h++)
                for (int64_t c = block; c < end; c++)
                    part[h] = part[h] + a[h * width + c] * b[h * width + c];
        for (int64_t h = 0; h < count; h++)
            sum[h] = sum[h] + part[h];
    }
}

static void delta_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t width = kernel_last_dim(&call->inputs[0]) / call->attributes.heads;
    const real *o = kernel_input(call, 0), *gradient = kernel_input(call, 1);
    for (int64_t h = first; h < end; h += GROUP) {
        real sum[GROUP];
        int64_t count = least(GROUP, end - h);
        head_products(o + h * width, gradient + h * width, width, count, sum);
        for (int64_t i = 0; i < count; i++)
            kernel_result(call, 0)[h + i] = r_flush(sum[i]);
    }
}

/* o, do [b, s, n*e] -> delta [b, s, n] */
void KERNEL(attention_delta)(struct kernel_call *call)
{
    const struct kernel_operand *delta = &call->results[0];
    cpu_threads_for(call->threads, delta->count, kernel_grain(4 * call->inputs[0].count / delta->count),
                    delta_range, call);
}

static void norms_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t width = kernel_last_dim(&call->inputs[0]) / call->attributes.heads;
    const real *x = kernel_input(call, 0);
    for (int64_t h = first; h < end; h += GROUP) {
        real sum[GROUP];
        int64_t count = least(GROUP, end - h);
        head_products(x + h * width, x + h * width, width, count, sum);
        for (int64_t i = 0; i < count; i++)
            kernel_result(call, 0)[h + i] = r_flush(r_sqrt(sum[i]));
    }
}

/* x [b, s, n*e] -> [b, s, n] */
void KERNEL(head_norms)(struct kernel_call *call)
{
    const struct kernel_operand *norms = &call->results[0];
    cpu_threads_for(call->threads, norms->count, kernel_grain(4 * call->inputs[0].count / norms->count),
                    norms_range, call);
}

/* stats [n, 2] -> [n] */
void KERNEL(attention_log_sums)(struct kernel_call *call)
{
    const real *stats = kernel_input(call, 0);
    for (int64_t i = 0; i < call->results[0].count; i++)
        kernel_result(call, 0)[i] = r_flush(stats[2 * i] - r_log(stats[2 * i + 1]));
}
