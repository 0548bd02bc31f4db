/* Distances of rows of states or logits, with the gradient of the first: mean squared error, and one less the
 * cosine. Gradients are those of weight * loss; the loss is unweighted. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/row.h"

/* a, b, da [d]. */
static real mse_row(const real *a, const real *b, real weight, real *da, int64_t d)
{
    real mean = r_rcp(r_from_uint((uint)d)), twice = mean + mean;
    ELEMENTWISE
    for (int64_t c = 0; c < d; c++)
        da[c] = r_flush(a[c] - b[c]);
    real loss = r_flush(r_flush(row_dot(da, da, d)) * mean);
    ELEMENTWISE
    for (int64_t c = 0; c < d; c++)
        da[c] = r_flush(r_flush(da[c] * twice) * weight);
    return loss;
}

static real cosine_row(const real *a, const real *b, real weight, real *da, int64_t d)
{
    real aa = r_flush(row_dot(a, a, d)), bb = r_flush(row_dot(b, b, d));
    if (aa == 0 || bb == 0) {
        memset(da, 0, (size_t)d * sizeof *da);
        return 1;
    }
    real of_a = r_flush(r_rsqrt(aa)), of_b = r_flush(r_rsqrt(bb));
    real cosine = r_flush(r_flush(r_flush(row_dot(a, b, d)) * of_a) * of_b);
    real along = r_flush(cosine * r_flush(of_a * of_a)), towards = r_flush(of_a * of_b);
    ELEMENTWISE
    for (int64_t c = 0; c < d; c++)
        da[c] = r_flush(r_flush(r_flush(a[c] * along) - r_flush(b[c] * towards)) * weight);
    return r_flush((real)1 - cosine);
}

typedef real row_distance(const real *a, const real *b, real weight, real *da, int64_t d);

struct distances {
    struct kernel_call *call;
    row_distance *row;
};

static void distance_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct distances *m = payload;
    int64_t d = kernel_last_dim(&m->call->inputs[0]);
    for (int64_t t = first; t < end; t++)
        kernel_result(m->call, 0)[t] =
            m->row(kernel_input(m->call, 0) + t * d, kernel_input(m->call, 1) + t * d,
                   kernel_input(m->call, 2)[t], kernel_result(m->call, 1) + t * d, d);
}

static void for_rows(struct kernel_call *call, row_distance *row)
{
    struct distances distances = {call, row};
    int64_t d = kernel_last_dim(&call->inputs[0]);
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(4 * d), distance_range,
                    &distances);
}

/* a [n, d], b [n, d], weights [n] -> loss [n], da [n, d] */
void KERNEL(mse_rows)(struct kernel_call *call)
{
    for_rows(call, mse_row);
}

/* a [n, d], b [n, d], weights [n] -> loss [n], da [n, d] */
void KERNEL(cosine_loss_rows)(struct kernel_call *call)
{
    for_rows(call, cosine_row);
}
