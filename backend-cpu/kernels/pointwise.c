/* Element-wise kernels. The result may lie over an operand of the same shape. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/row.h"

static void silu_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    real *y = kernel_result(call, 0), sigmoid[ROW_CHUNK];
    for (int64_t start = first; start < end; start += ROW_CHUNK) {
        const real *x = kernel_input(call, 0) + start;
        int64_t count = least(ROW_CHUNK, end - start);
        row_sigmoids(sigmoid, x, count);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++)
            y[start + i] = r_flush(x[i] * sigmoid[i]);
    }
}

void KERNEL(silu)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, call->results[0].count, kernel_grain(8), silu_range, call);
}

static void silu_grad_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    real *dx = kernel_result(call, 0), sigmoid[ROW_CHUNK];
    for (int64_t start = first; start < end; start += ROW_CHUNK) {
        const real *x = kernel_input(call, 0) + start, *dy = kernel_input(call, 1) + start;
        int64_t count = least(ROW_CHUNK, end - start);
        row_sigmoids(sigmoid, x, count);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++) {
            real s = sigmoid[i], slope = r_flush(s * r_flush((real)1 + x[i] * ((real)1 - s)));
            dx[start + i] = r_flush(dy[i] * slope);
        }
    }
}

void KERNEL(silu_grad)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, call->results[0].count, kernel_grain(8), silu_grad_range, call);
}

static void scale_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *x = kernel_input(call, 0);
    real *y = kernel_result(call, 0), scale = call->attributes.scale;
    ELEMENTWISE
    for (int64_t i = first; i < end; i++)
        y[i] = r_flush(x[i] * scale);
}

void KERNEL(scale)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, call->results[0].count, kernel_grain(1), scale_range, call);
}

static void scale_ratio_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *x = kernel_input(call, 0), a = kernel_input(call, 1)[0], b = kernel_input(call, 2)[0];
    real *y = kernel_result(call, 0), ratio = b == 0 ? 0 : r_flush(r_div(a, b));
    ELEMENTWISE
    for (int64_t i = first; i < end; i++)
        y[i] = r_flush(x[i] * ratio);
}

/* x [...], a [1], b [1] -> y [...] */
void KERNEL(scale_ratio)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, call->results[0].count, kernel_grain(1), scale_ratio_range, call);
}

/* Two operands as rows: b has as many rows as a, or one that serves all. */
struct pair {
    const real *a, *b;
    real *y;
    int64_t columns, b_step;
};

static struct pair pair_of(const struct kernel_call *call)
{
    const struct kernel_operand *a = &call->inputs[0], *b = &call->inputs[1];
    bool same = a->count == b->count;
    return (struct pair){a->data, b->data, kernel_result(call, 0), same ? kernel_last_dim(a) : b->count,
                         same ? kernel_last_dim(a) : 0};
}

static void add_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct pair *p = payload;
    for (int64_t t = first; t < end; t++) {
        const real *a = p->a + t * p->columns, *b = p->b + t * p->b_step;
        real *y = p->y + t * p->columns;
        ELEMENTWISE
        for (int64_t c = 0; c < p->columns; c++)
            y[c] = r_flush(a[c] + b[c]);
    }
}

static void mul_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct pair *p = payload;
    for (int64_t t = first; t < end; t++) {
        const real *a = p->a + t * p->columns, *b = p->b + t * p->b_step;
        real *y = p->y + t * p->columns;
        ELEMENTWISE
        for (int64_t c = 0; c < p->columns; c++)
            y[c] = r_flush(a[c] * b[c]);
    }
}

void KERNEL(add)(struct kernel_call *call)
{
    struct pair pair = pair_of(call);
    cpu_threads_for(call->threads, call->results[0].count / pair.columns, kernel_grain(pair.columns),
                    add_rows, &pair);
}

void KERNEL(mul)(struct kernel_call *call)
{
    struct pair pair = pair_of(call);
    cpu_threads_for(call->threads, call->results[0].count / pair.columns, kernel_grain(pair.columns),
                    mul_rows, &pair);
}

static void spread_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t d = kernel_last_dim(&call->results[0]);
    for (int64_t t = first; t < end; t++) {
        real x = r_flush(kernel_input(call, 0)[t]), *y = kernel_result(call, 0) + t * d;
        for (int64_t c = 0; c < d; c++)
            y[c] = x;
    }
}

/* x [n] -> y [n, d] */
void KERNEL(spread)(struct kernel_call *call)
{
    int64_t d = kernel_last_dim(&call->results[0]);
    cpu_threads_for(call->threads, call->inputs[0].count, kernel_grain(d), spread_range, call);
}
