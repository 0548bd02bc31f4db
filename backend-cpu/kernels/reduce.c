/* Sums of all elements, of blocks, and of pairs of rows. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/row.h"

/* a, b of equal shape -> [1]. One row, so one thread: its lanes are its order. */
void KERNEL(dot)(struct kernel_call *call)
{
    kernel_result(call, 0)[0] =
        r_flush(row_dot(kernel_input(call, 0), kernel_input(call, 1), call->inputs[0].count));
}

enum { SQUARES_BLOCK = 4096 };

static void square_blocks(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    for (int64_t i = first; i < end; i++) {
        const real *x = kernel_input(call, 0) + i * SQUARES_BLOCK;
        int64_t n = least(SQUARES_BLOCK, call->inputs[0].count - i * SQUARES_BLOCK);
        kernel_result(call, 0)[i] = r_flush_square(row_dot(x, x, n));
    }
}

/* x [...] -> [ceil(n / 4096)] */
void KERNEL(block_squares)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, (call->inputs[0].count + SQUARES_BLOCK - 1) / SQUARES_BLOCK,
                    kernel_grain(SQUARES_BLOCK), square_blocks, call);
}

/* x [n] -> [1] */
void KERNEL(sum)(struct kernel_call *call)
{
    kernel_result(call, 0)[0] = r_flush_square(row_sum(kernel_input(call, 0), call->inputs[0].count));
}

static real cosine(const real *a, const real *b, int64_t d)
{
    real aa = r_flush(row_dot(a, a, d)), bb = r_flush(row_dot(b, b, d));
    if (aa == 0 || bb == 0)
        return 0;
    real over_a = r_flush(r_flush(row_dot(a, b, d)) * r_flush(r_rsqrt(aa)));
    return r_flush(over_a * r_flush(r_rsqrt(bb)));
}

static void cosine_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t d = kernel_last_dim(&call->inputs[0]);
    for (int64_t t = first; t < end; t++)
        kernel_result(call, 0)[t] = cosine(kernel_input(call, 0) + t * d, kernel_input(call, 1) + t * d, d);
}

/* a, b [T, d] -> [T] */
void KERNEL(cosine_rows)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[0]);
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(3 * d), cosine_range, call);
}
