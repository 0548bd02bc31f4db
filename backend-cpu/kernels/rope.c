/* Rotary position embedding (Su et al. 2021), the two halves of a head paired. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/vector.h"

static void fill_positions(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const real *w = kernel_input(call, 1);
    int64_t f = call->inputs[1].count;
    for (int64_t p = first; p < end; p++) {
        real *cosine = kernel_result(call, 0) + p * 2 * f, *sine = cosine + f,
             position = r_from_uint((uint)p);
        for (int64_t j = 0; j < f; j++) {
            real angle = r_flush(position * w[j]);
            cosine[j] = r_flush(r_cos(angle));
            sine[j] = r_flush(r_sin(angle));
        }
    }
}

/* ids [b, s] (shape only), w [f] -> table [s, 2, f] */
void KERNEL(rotary_table)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, call->results[0].dims[0], kernel_grain(16 * call->inputs[1].count),
                    fill_positions, call);
}

/* The elements of a head that no frequency turns. */
static int64_t rest_of(const struct kernel_call *call)
{
    int64_t heads = call->attributes.heads, f = call->inputs[1].dims[2];
    return heads ? call->inputs[0].dims[2] / heads - 2 * f : 0;
}

static void rotate_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    int64_t s = call->inputs[0].dims[1], d = call->inputs[0].dims[2], f = call->inputs[1].dims[2];
    int64_t rest = rest_of(call);
    real sign = call->attributes.inverse ? -1 : 1;
    for (int64_t t = first; t < end; t++) {
        const real *cosine = kernel_input(call, 1) + t % s * 2 * f, *sine = cosine + f;
        for (int64_t head = 0; head + 2 * f <= d; head += 2 * f + rest) {
            const real *x1 = kernel_input(call, 0) + t * d + head, *x2 = x1 + f;
            real *y1 = kernel_result(call, 0) + t * d + head, *y2 = y1 + f;
            ELEMENTWISE
            for (int64_t j = 0; j < f; j++) {
                real a = x1[j], b = x2[j], n = sine[j] * sign;
                y1[j] = r_flush(a * cosine[j] - b * n);
                y2[j] = r_flush(b * cosine[j] + a * n);
            }
            ELEMENTWISE
            for (int64_t j = 0; j < rest; j++)
                y2[f + j] = r_flush(x2[f + j]);
        }
    }
}

/* x [b, s, h*2*f], table [s, 2, f] -> y like x */
void KERNEL(rope)(struct kernel_call *call)
{
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(2 * call->inputs[0].dims[2]),
                    rotate_rows, call);
}

/* x [b, s, h*(2*f + n)], table [s, 2, f] -> y like x */
void KERNEL(rope_part)(struct kernel_call *call)
{
    KERNEL(rope)(call);
}
