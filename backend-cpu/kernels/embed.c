/* Token embedding and the gradient of its table. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/tile.h"

static void copy_rows(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct kernel_call *call = payload;
    const int32_t *ids = call->inputs[1].data;
    const real *table = kernel_input(call, 0);
    int64_t d = call->inputs[0].dims[1];
    real *y = kernel_result(call, 0);
    for (int64_t t = first; t < end; t++)
        for (int64_t c = 0; c < d; c++)
            y[t * d + c] = r_flush(table[ids[t] * d + c]);
}

/* table [v, d], ids [T] -> y [T, d] */
void KERNEL(embed)(struct kernel_call *call)
{
    if (!kernel_ids_fit(call, &call->inputs[1], call->inputs[0].dims[0]))
        return;
    cpu_threads_for(call->threads, call->inputs[1].count, kernel_grain(call->inputs[0].dims[1]), copy_rows,
                    call);
}

/* Tokens of each id as a list, ascending: first[id], next[t]; -1 ends it. */
struct scatter {
    const real *dy;
    real *out;
    int64_t d;
    const int64_t *first, *next;
    struct cpu_threads *threads;
};

/* One row of the table: block sums in `sum`, their total in `out`. */
static void sum_tokens(const struct scatter *s, real *out, real *sum, int64_t id)
{
    size_t bytes = (size_t)s->d * sizeof(real);
    memset(out, 0, bytes);
    for (int64_t t = s->first[id]; t >= 0;) {
        int64_t block = t / PRODUCT_BLOCK;
        memset(sum, 0, bytes);
        for (; t >= 0 && t / PRODUCT_BLOCK == block; t = s->next[t]) {
            const real *dy = s->dy + t * s->d;
            ELEMENTWISE
            for (int64_t c = 0; c < s->d; c++)
                sum[c] = sum[c] + dy[c];
        }
        ELEMENTWISE
        for (int64_t c = 0; c < s->d; c++)
            out[c] = out[c] + sum[c];
    }
    ELEMENTWISE
    for (int64_t c = 0; c < s->d; c++)
        out[c] = r_flush(out[c]);
}

static void sum_ids(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct scatter *s = payload;
    real *sum = cpu_threads_scratch(s->threads, thread, (size_t)s->d * sizeof(real));
    for (int64_t id = first; id < end; id++)
        sum_tokens(s, s->out + id * s->d, sum, id);
}

/* ids [T], dy [T, d] -> table [rows, d] */
void KERNEL(embed_grad)(struct kernel_call *call)
{
    const struct kernel_operand *ids = &call->inputs[0];
    int64_t tokens = ids->count, rows = call->results[0].dims[0], d = call->results[0].dims[1];
    if (!kernel_ids_fit(call, ids, rows))
        return;
    int64_t *first =
        cpu_threads_scratch(call->threads, CPU_SCRATCH_SHARED, (size_t)(rows + tokens) * sizeof *first);
    int64_t *next = first + rows;
    for (int64_t i = 0; i < rows; i++)
        first[i] = -1;
    for (int64_t t = tokens - 1; t >= 0; t--) {
        int32_t id = ((const int32_t *)ids->data)[t];
        next[t] = first[id];
        first[id] = t;
    }
    struct scatter scatter = {kernel_input(call, 1), kernel_result(call, 0), d, first, next, call->threads};
    cpu_threads_for(call->threads, rows, kernel_grain(d * (1 + tokens / rows)), sum_ids, &scatter);
}
