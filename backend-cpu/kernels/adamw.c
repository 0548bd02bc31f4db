/* The optimizer: AdamW (Loshchilov & Hutter 2019, algorithm 2) and the clipping of the gradient's norm. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/row.h"

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

/* Moments of elements [first, first + count); leaves F(rcp(F(sqrt(v' * correction)) + epsilon)) in `over`. */
static void update_moments(const struct kernel_call *call, int64_t first, int64_t count, real *over)
{
    const real *g = kernel_input(call, 1) + first, *m = kernel_input(call, 2) + first,
               *v = kernel_input(call, 3) + first, *h = kernel_input(call, 4);
    real *m_next = kernel_result(call, 1) + first, *v_next = kernel_result(call, 2) + first;
    real factor = kernel_input(call, 5)[0], beta1 = h[HYPER_BETA1], rest1 = h[HYPER_BETA1_REST],
         beta2 = h[HYPER_BETA2], rest2 = h[HYPER_BETA2_REST], correction = h[HYPER_CORRECTION2],
         epsilon = h[HYPER_EPSILON];
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++) {
        real gradient = r_flush(g[i] * factor);
        real square = r_flush_square(beta2 * v[i] + rest2 * (gradient * gradient));
        m_next[i] = r_flush(beta1 * m[i] + rest1 * gradient);
        v_next[i] = square;
        over[i] = square * correction;
    }
    row_roots(over, over, count);
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++)
        over[i] = over[i] + epsilon;
    row_reciprocals(over, over, count);
}

static void adamw_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *w = kernel_input(call, 0), *h = kernel_input(call, 4);
    real *w_next = kernel_result(call, 0), over[ROW_CHUNK];
    real rate = h[HYPER_RATE], correction = h[HYPER_CORRECTION1];
    real keep = call->attributes.decay ? h[HYPER_KEEP] : (real)1; /* 1 * w is w */
    for (int64_t start = first; start < end; start += ROW_CHUNK) {
        const real *mean = kernel_result(call, 1) + start;
        int64_t count = least(ROW_CHUNK, end - start);
        update_moments(call, start, count, over);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++) {
            real step = r_flush(r_flush(mean[i] * correction) * over[i]);
            w_next[start + i] = r_flush(keep * w[start + i] - r_flush(rate * step));
        }
    }
}

/* w, g, m, v [...], hyper [16], clip [2] -> w', m', v'; each may lie over w, m, v. */
void KERNEL(adamw)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, call->results[0].count, kernel_grain(16), adamw_range, call);
}
