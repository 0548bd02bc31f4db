/* Root mean square normalisation (Zhang & Sennrich 2019) and its gradients.
 * Rows are as long as the weight: heads are rows of their own in the forms for heads.
 * With r = rsqrt(mean(x^2) + epsilon) and y = x r w, for g = dy w:  dx = r g - x r^3 mean(g x),  dw = sum dy
 * x r. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/columns.h"
#include "backend-cpu/kernels/row.h"

static void normalise_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t d = kernel_last_dim(&call->inputs[1]);
    const real *w = kernel_input(call, 1);
    real share = r_rcp(r_from_uint((uint)d)), epsilon = call->attributes.epsilon;
    for (int64_t t = first; t < end; t++) {
        const real *x = kernel_input(call, 0) + t * d;
        real *y = kernel_result(call, 0) + t * d;
        real r = r_flush(r_rsqrt(row_dot(x, x, d) * share + epsilon));
        kernel_result(call, 1)[t] = r;
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            y[c] = r_flush(r_flush(x[c] * r) * w[c]);
    }
}

/* x [T, d], w [d] -> y [T, d], r [T] */
void KERNEL(rmsnorm)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[1]);
    cpu_threads_for(call->threads, call->inputs[0].count / d, kernel_grain(2 * d), normalise_rows, call);
}

static void input_gradient_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t d = kernel_last_dim(&call->inputs[1]);
    const real *w = kernel_input(call, 1);
    real share = r_rcp(r_from_uint((uint)d));
    for (int64_t t = first; t < end; t++) {
        const real *x = kernel_input(call, 0) + t * d, *dy = kernel_input(call, 3) + t * d;
        real *dx = kernel_result(call, 0) + t * d, r = kernel_input(call, 2)[t];
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            dx[c] = r_flush(dy[c] * w[c]);
        real k = r_flush(r_flush(row_dot(dx, x, d)) * share);
        real k3 = r_flush(r_flush(k * r) * r_flush(r * r));
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            dx[c] = r_flush(r * dx[c] - x[c] * k3);
    }
}

/* x [T, d], w [d], r [T], dy [T, d] -> dx [T, d] */
void KERNEL(rmsnorm_grad)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[1]);
    cpu_threads_for(call->threads, call->inputs[0].count / d, kernel_grain(3 * d), input_gradient_rows, call);
}

static void add_weight_gradient(const void *payload, int64_t t, int64_t columns, real *sum)
{
    const struct kernel_call *call = payload;
    const real *x = kernel_input(call, 0) + t * columns, *dy = kernel_input(call, 2) + t * columns;
    real r = kernel_input(call, 1)[t];
    ELEMENTWISE
    for (int64_t c = 0; c < columns; c++)
        sum[c] = sum[c] + r_flush(x[c] * r) * dy[c];
}

/* x [T, d], r [T], dy [T, d] -> dw [d] */
void KERNEL(rmsnorm_weight_grad)(struct kernel_call *call)
{
    int64_t d = call->results[0].count;
    real *dw = kernel_result(call, 0);
    columns_sum(call->threads, dw, 1, call->inputs[0].count / d, d, add_weight_gradient, call);
    for (int64_t c = 0; c < d; c++)
        dw[c] = r_flush(dw[c]);
}

/* x [b, s, n*d], w [d] -> y like x, r [b, s, n] */
void KERNEL(head_rmsnorm)(struct kernel_call *call)
{
    KERNEL(rmsnorm)(call);
}

/* x [b, s, n*d], w [d], r [b, s, n], dy like x -> dx like x */
void KERNEL(head_rmsnorm_grad)(struct kernel_call *call)
{
    KERNEL(rmsnorm_grad)(call);
}

/* x [b, s, n*d], r [b, s, n], dy like x -> dw [d] */
void KERNEL(head_rmsnorm_weight_grad)(struct kernel_call *call)
{
    KERNEL(rmsnorm_weight_grad)(call);
}
