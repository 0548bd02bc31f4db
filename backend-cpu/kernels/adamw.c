/* The optimizer: AdamW (Loshchilov & Hutter 2019, algorithm 2) and the clipping of the gradient's norm. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/vector.h"

/* What hyper [16] holds; computed by the host once a step. */
enum hyper {
    HYPER_RATE,
    HYPER_BETA1,
    HYPER_BETA1_REST,
    HYPER_BETA2,
    HYPER_BETA2_REST,
    HYPER_CORRECTION1, /* 1 / (1 - beta1^t) */
    HYPER_CORRECTION2, /* 1 / (1 - beta2^t) */
    HYPER_EPSILON,
    HYPER_KEEP,        /* 1 - rate * decay */
    HYPER_MAX_NORM,    /* 0: no clipping */
    HYPER_WEIGHT_SHARE /* 1 / total weight of the step */
};

/* squares [1], hyper [16] -> (factor, norm) [2] */
void KERNEL(clip)(struct kernel_call *call)
{
    const real *hyper = kernel_input(call, 1);
    real *y = kernel_result(call, 0);
    real share = hyper[HYPER_WEIGHT_SHARE], bound = hyper[HYPER_MAX_NORM];
    real norm = r_flush(r_flush(r_sqrt(kernel_input(call, 0)[0])) * share);
    real factor = bound != 0 && norm > bound ? r_flush(r_flush(r_div(bound, norm)) * share) : share;
    y[0] = r_flush(factor);
    y[1] = norm;
}

static void adamw_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *w = kernel_input(call, 0), *g = kernel_input(call, 1), *m = kernel_input(call, 2),
               *v = kernel_input(call, 3), *h = kernel_input(call, 4);
    real *w_next = kernel_result(call, 0), *m_next = kernel_result(call, 1), *v_next = kernel_result(call, 2);
    real factor = kernel_input(call, 5)[0], rate = h[HYPER_RATE], beta1 = h[HYPER_BETA1],
         rest1 = h[HYPER_BETA1_REST], beta2 = h[HYPER_BETA2], rest2 = h[HYPER_BETA2_REST],
         correction1 = h[HYPER_CORRECTION1], correction2 = h[HYPER_CORRECTION2], epsilon = h[HYPER_EPSILON],
         keep = call->attributes.decay ? h[HYPER_KEEP] : (real)1; /* 1 * w is w */
    ELEMENTWISE
    for (int64_t i = first; i < end; i++) {
        real gradient = r_flush(g[i] * factor);
        real mean = r_flush(beta1 * m[i] + rest1 * gradient);
        real square = r_flush_square(beta2 * v[i] + rest2 * (gradient * gradient));
        real root = r_flush(r_sqrt(square * correction2)) + epsilon;
        real step = r_flush(r_flush(mean * correction1) * r_flush(r_rcp(root)));
        w_next[i] = r_flush(keep * w[i] - r_flush(rate * step));
        m_next[i] = mean;
        v_next[i] = square;
    }
}

/* w, g, m, v [...], hyper [16], clip [2] -> w', m', v'; each may lie over w, m, v. */
void KERNEL(adamw)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, call->results[0].count, kernel_grain(16), adamw_range, call);
}
