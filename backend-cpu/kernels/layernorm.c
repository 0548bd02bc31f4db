/* Layer normalisation (Ba, Kiros & Hinton 2016) and its gradients. With m = mean(x), h = (x - m) r,
 * r = rsqrt(mean((x - m)^2) + epsilon) and y = h w, for g = dy w:  dx = r (g - mean(g) - h mean(g h)),
 * dw = sum dy h. A bias is an add of its own. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/columns.h"
#include "backend-cpu/kernels/row.h"

static void normalise_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t d = kernel_last_dim(&call->inputs[0]);
    const real *w = kernel_input(call, 1);
    real share = r_rcp(r_from_uint((uint)d)), epsilon = call->attributes.epsilon;
    for (int64_t t = first; t < end; t++) {
        const real *x = kernel_input(call, 0) + t * d;
        real *y = kernel_result(call, 0) + t * d;
        real m = r_flush(r_flush(row_sum(x, d)) * share);
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            y[c] = r_flush(x[c] - m);
        real r = r_flush(r_rsqrt(row_dot(y, y, d) * share + epsilon));
        kernel_result(call, 1)[t] = m;
        kernel_result(call, 2)[t] = r;
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            y[c] = r_flush(r_flush(y[c] * r) * w[c]);
    }
}

/* x [T, d], w [d] -> y [T, d], m [T], r [T] */
void KERNEL(layernorm)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[0]);
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(4 * d), normalise_rows, call);
}

static void input_gradient_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct kernel_call *call = payload;
    int64_t d = kernel_last_dim(&call->inputs[0]);
    const real *w = kernel_input(call, 1);
    real share = r_rcp(r_from_uint((uint)d));
    real *h = cpu_threads_scratch(call->threads, thread, (size_t)d * sizeof *h);
    for (int64_t t = first; t < end; t++) {
        const real *x = kernel_input(call, 0) + t * d, *dy = kernel_input(call, 4) + t * d;
        real *dx = kernel_result(call, 0) + t * d, m = kernel_input(call, 2)[t], r = kernel_input(call, 3)[t];
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++) {
            h[c] = r_flush(r_flush(x[c] - m) * r);
            dx[c] = r_flush(dy[c] * w[c]);
        }
        real a = r_flush(r_flush(row_sum(dx, d)) * share), k = r_flush(r_flush(row_dot(dx, h, d)) * share);
        ELEMENTWISE
        for (int64_t c = 0; c < d; c++)
            dx[c] = r_flush(r * r_flush(r_flush(dx[c] - a) - h[c] * k));
    }
}

/* x [T, d], w [d], m [T], r [T], dy [T, d] -> dx [T, d] */
void KERNEL(layernorm_grad)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[0]);
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(6 * d), input_gradient_rows,
                    call);
}

static void add_weight_gradient(const void *payload, int64_t t, int64_t columns, real *sum)
{
    const struct kernel_call *call = payload;
    const real *x = kernel_input(call, 0) + t * columns, *dy = kernel_input(call, 3) + t * columns;
    real m = kernel_input(call, 1)[t], r = kernel_input(call, 2)[t];
    ELEMENTWISE
    for (int64_t c = 0; c < columns; c++)
        sum[c] = sum[c] + r_flush(r_flush(x[c] - m) * r) * dy[c];
}

/* x [T, d], m [T], r [T], dy [T, d] -> dw [d] */
void KERNEL(layernorm_weight_grad)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->inputs[0]);
    real *dw = kernel_result(call, 0);
    columns_sum(call->threads, dw, 1, kernel_rows(&call->inputs[0]), d, add_weight_gradient, call);
    for (int64_t c = 0; c < d; c++)
        dw[c] = r_flush(dw[c]);
}
