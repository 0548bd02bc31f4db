/* Losses row by row, with the gradient of the logits: cross-entropy, and the forward Kullback-Leibler
 * divergence of distillation (Hinton et al. 2015). The gradients are those of weight * loss; the loss itself
 * is unweighted. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/softmax.h"

static void ce_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const int32_t *labels = call->inputs[1].data;
    int64_t v = kernel_last_dim(&call->inputs[0]);
    for (int64_t t = first; t < end; t++) {
        const real *x = kernel_input(call, 0) + t * v;
        real *dx = kernel_result(call, 1) + t * v, weight = kernel_input(call, 2)[t];
        struct softmax s = softmax_exponentials(dx, x, v);
        int32_t label = labels[t];
        kernel_result(call, 0)[t] = r_flush(r_log(s.sum) + r_flush(s.max - x[label]));
        real of_label = r_flush(r_flush(r_flush(dx[label] * s.share) - (real)1) * weight);
        ELEMENTWISE
        for (int64_t c = 0; c < v; c++)
            dx[c] = r_flush(r_flush(dx[c] * s.share) * weight);
        dx[label] = of_label;
    }
}

/* logits [n, v], labels [n], weights [n] -> loss [n], dlogits [n, v] */
void KERNEL(ce_rows)(struct kernel_call *call)
{
    int64_t v = kernel_last_dim(&call->inputs[0]);
    if (!kernel_ids_fit(call, &call->inputs[1], v))
        return;
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(8 * v), ce_range, call);
}

/* One row; q and terms [v] are scratch. */
static real kl_row(const real *x, const real *y, real weight, real *dx, real *q, real *terms, int64_t v)
{
    struct softmax sx = softmax_exponentials(dx, x, v), sy = softmax_exponentials(q, y, v);
    real shift = softmax_log_sum(sx) - softmax_log_sum(sy);
    ELEMENTWISE
    for (int64_t c = 0; c < v; c++) {
        real pc = r_flush(dx[c] * sx.share), qc = r_flush(q[c] * sy.share);
        terms[c] = qc * r_flush((y[c] - x[c]) + shift);
        dx[c] = r_flush(r_flush(pc - qc) * weight);
    }
    return r_flush(row_sum(terms, v));
}

static void kl_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct kernel_call *call = payload;
    int64_t v = kernel_last_dim(&call->inputs[0]);
    real *scratch = cpu_threads_scratch(call->threads, thread, 2 * (size_t)v * sizeof *scratch);
    for (int64_t t = first; t < end; t++)
        kernel_result(call, 0)[t] =
            kl_row(kernel_input(call, 0) + t * v, kernel_input(call, 1) + t * v, kernel_input(call, 2)[t],
                   kernel_result(call, 1) + t * v, scratch, scratch + v, v);
}

/* student x [n, v], teacher y [n, v], weights [n] -> loss [n], dx [n, v] */
void KERNEL(kl_rows)(struct kernel_call *call)
{
    int64_t v = kernel_last_dim(&call->inputs[0]);
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(16 * v), kl_range, call);
}
