/* Activations beside silu (backend-cpu/kernels/pointwise.c), and their gradients. A result may lie over an
 * operand. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/row.h"

#define HALF R_CONST(0x3f000000u)        /* 0.5 */
#define ROOT_HALF R_CONST(0x3f3504f3u)   /* sqrt(1/2) = 0.707106769 */
#define ROOT_2_PI R_CONST(0x3f4c422au)   /* sqrt(2/pi) = 0.797884583 */
#define NORMAL_PEAK R_CONST(0x3ecc422au) /* 1/sqrt(2 pi) = 0.398942292 */
#define CUBIC R_CONST(0x3d372713u)       /* 0.0447149985 */
#define CUBIC_SLOPE R_CONST(0x3e095d4fu) /* 3 * 0.044715 = 0.134145007 */
#define MOST_SQUARE R_CONST(0x45800000u) /* 4096: far beyond where the tangent is 1 */

static void relu_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *x = kernel_input(call, 0);
    real *y = kernel_result(call, 0);
    ELEMENTWISE
    for (int64_t i = first; i < end; i++)
        y[i] = r_flush(x[i] > 0 ? x[i] : 0);
}

static void relu_grad_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *x = kernel_input(call, 0), *dy = kernel_input(call, 1);
    real *dx = kernel_result(call, 0);
    ELEMENTWISE
    for (int64_t i = first; i < end; i++)
        dx[i] = r_flush(x[i] > 0 ? dy[i] : 0);
}

/* t[i] = erf(F(x * sqrt(1/2))) */
static void erf_chunk(real *t, const real *x, int64_t count)
{
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++)
        t[i] = r_flush(x[i] * ROOT_HALF);
    row_erfs(t, t, count);
}

static void gelu_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    real t[ROW_CHUNK];
    for (int64_t start = first; start < end; start += ROW_CHUNK) {
        const real *x = kernel_input(call, 0) + start;
        real *y = kernel_result(call, 0) + start;
        int64_t count = least(ROW_CHUNK, end - start);
        erf_chunk(t, x, count);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++)
            y[i] = r_flush(x[i] * r_flush(HALF + HALF * t[i]));
    }
}

static void gelu_grad_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    real t[ROW_CHUNK], e[ROW_CHUNK];
    for (int64_t start = first; start < end; start += ROW_CHUNK) {
        const real *x = kernel_input(call, 0) + start, *dy = kernel_input(call, 1) + start;
        real *dx = kernel_result(call, 0) + start;
        int64_t count = least(ROW_CHUNK, end - start);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++) {
            real z = r_flush(x[i] * ROOT_HALF);
            e[i] = 0 - r_flush(z * z);
        }
        row_exponentials(e, e, 0, count);
        erf_chunk(t, x, count);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++) {
            real slope = r_flush(x[i] * r_flush(e[i] * NORMAL_PEAK));
            dx[i] = r_flush(dy[i] * r_flush(r_flush(HALF + HALF * t[i]) + slope));
        }
    }
}

/* t[i] = tanh(F(F(x * sqrt(2/pi)) * F(1 + q * 0.044715))), q = min(F(x * x), 4096) */
static void tanh_chunk(real *t, const real *x, int64_t count)
{
    ELEMENTWISE
    for (int64_t i = 0; i < count; i++) {
        real q = r_min(r_flush(x[i] * x[i]), MOST_SQUARE);
        t[i] = r_flush(r_flush(x[i] * ROOT_2_PI) * r_flush((real)1 + q * CUBIC));
    }
    row_tanhs(t, t, count);
}

static void gelu_tanh_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    real t[ROW_CHUNK];
    for (int64_t start = first; start < end; start += ROW_CHUNK) {
        const real *x = kernel_input(call, 0) + start;
        real *y = kernel_result(call, 0) + start;
        int64_t count = least(ROW_CHUNK, end - start);
        tanh_chunk(t, x, count);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++)
            y[i] = r_flush(x[i] * r_flush(HALF + HALF * t[i]));
    }
}

static void gelu_tanh_grad_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    real t[ROW_CHUNK];
    for (int64_t start = first; start < end; start += ROW_CHUNK) {
        const real *x = kernel_input(call, 0) + start, *dy = kernel_input(call, 1) + start;
        real *dx = kernel_result(call, 0) + start;
        int64_t count = least(ROW_CHUNK, end - start);
        tanh_chunk(t, x, count);
        ELEMENTWISE
        for (int64_t i = 0; i < count; i++) {
            real q = r_min(r_flush(x[i] * x[i]), MOST_SQUARE);
            real inner = r_flush(r_flush((real)1 + q * CUBIC_SLOPE) * ROOT_2_PI);
            real bend = r_flush(r_flush(r_flush(x[i] * r_flush((real)1 - t[i] * t[i])) * HALF) * inner);
            dx[i] = r_flush(dy[i] * r_flush(r_flush(HALF + HALF * t[i]) + bend));
        }
    }
}

static void tanh_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    row_tanhs(kernel_result(call, 0) + first, kernel_input(call, 0) + first, end - first);
}

static void tanh_grad_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *y = kernel_input(call, 0), *dy = kernel_input(call, 1);
    real *dx = kernel_result(call, 0);
    ELEMENTWISE
    for (int64_t i = first; i < end; i++)
        dx[i] = r_flush(dy[i] * r_flush((real)1 - y[i] * y[i]));
}

/* Operands and results of one shape. */
#define ELEMENTS(name, work)                                                                            \
    void KERNEL(name)(struct kernel_call * call)                                                        \
    {                                                                                                   \
        cpu_threads_for(call->threads, call->results[0].count, kernel_grain(work), name##_range, call); \
    }

ELEMENTS(relu, 1)
ELEMENTS(relu_grad, 1)
ELEMENTS(gelu, 16)
ELEMENTS(gelu_grad, 24)
ELEMENTS(gelu_tanh, 16)
ELEMENTS(gelu_tanh_grad, 16)
ELEMENTS(tanh, 12)
ELEMENTS(tanh_grad, 1)
