/* What is kept of a teacher's distribution, and forward KL divergence from it: the logarithms of the largest
 * probabilities of a row with their places, and that of what the others come to together. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/largest.h"
#include "backend-cpu/kernels/softmax.h"

/* Below every score: where a maximum starts. */
#define LOWEST R_CONST(0xff7fffffu)

/* Which elements of a row are kept: those above `least`, and those equal to it up to `last_tie`. */
struct kept {
    real least;
    int64_t last_tie;
};

static bool is_kept(struct kept kept, const real *y, int64_t c)
{
    return y[c] > kept.least || (y[c] == kept.least && c <= kept.last_tie);
}

/* The k largest of y [v], of equal ones the first; heap [v] is scratch. */
static struct kept find_kept(const real *y, int64_t v, int64_t k, real *heap)
{
    struct kept kept = {kth_largest(y, v, k, heap), -1};
    int64_t ties = k;
    for (int64_t c = 0; c < v; c++)
        ties -= y[c] > kept.least;
    for (int64_t c = 0; c < v && ties > 0; c++)
        if (y[c] == kept.least) {
            kept.last_tie = c;
            ties--;
        }
    return kept;
}

/* What is not kept: n and U of ir/ops.def. */
struct others {
    real max, sum;
};

/* e [v] has the elements, LOWEST in place of those that are kept; it becomes F(exp(e - n)), 0 for these. */
static struct others sum_others(real *e, const uint8_t *kept, int64_t v)
{
    struct others o = {.max = row_max(e, v)};
    row_exponentials(e, e, o.max, v);
    for (int64_t c = 0; c < v; c++)
        e[c] = kept[c] ? 0 : e[c];
    o.sum = row_sum(e, v);
    return o;
}

/* ---- top_rows ---- */

/* scratch: exponentials [v], and a byte an element */
static void top_row(const struct kernel_call *call, int64_t t, real *scratch)
{
    int64_t v = kernel_last_dim(&call->inputs[0]), k = kernel_last_dim(&call->results[0]), count = 0;
    const real *y = kernel_input(call, 0) + t * v;
    real *logs = kernel_result(call, 0) + t * k, *places = kernel_result(call, 1) + t * k;
    uint8_t *marks = (uint8_t *)(scratch + v); /* of what is kept */
    struct softmax s = softmax_exponentials(scratch, y, v);
    real log_sum = r_log(s.sum);
    struct kept kept = find_kept(y, v, k, scratch);
    for (int64_t c = 0; c < v; c++) {
        marks[c] = is_kept(kept, y, c);
        scratch[c] = marks[c] ? LOWEST : y[c];
        if (marks[c] && count < k) {
            logs[count] = r_flush(r_flush(y[c] - s.max) - log_sum);
            places[count++] = r_from_uint((uint32_t)c);
        }
    }
    for (; count < k; count++) /* what is no number is neither above nor below */
        logs[count] = places[count] = R_CONST(0x7fc00000u);
    struct others o = sum_others(scratch, marks, v);
    real rest = r_flush((r_flush(o.max - s.max) + r_log(o.sum)) - log_sum);
    kernel_result(call, 2)[t] = k < v ? rest : R_CONST(0xc3000000u); /* -128 */
}

/* ---- kl_kept_rows ---- */

static void share_sums(const struct kernel_call *call, int64_t t, const real *x, real shift, real *q,
                       real *terms, real *mass, real *loss)
{
    int64_t k = kernel_last_dim(&call->inputs[1]);
    const int32_t *ids = (const int32_t *)call->inputs[1].data + t * k;
    const real *logs = kernel_input(call, 2) + t * k;
    for (int64_t j = 0; j < k; j++) {
        q[j] = r_flush(r_exp(logs[j]));
        terms[j] = q[j] * r_flush((logs[j] - x[ids[j]]) + shift);
    }
    *mass = row_sum(q, k);
    *loss = row_sum(terms, k);
}

/* scratch: exponentials of the others [v], q [k], terms [k], and a byte an element */
static void kept_row(const struct kernel_call *call, int64_t t, real *scratch)
{
    int64_t v = kernel_last_dim(&call->inputs[0]), k = kernel_last_dim(&call->inputs[1]);
    const real *x = kernel_input(call, 0) + t * v;
    const int32_t *ids = (const int32_t *)call->inputs[1].data + t * k;
    real *dx = kernel_result(call, 1) + t * v, *q = scratch + v, mass, loss;
    uint8_t *marks = (uint8_t *)(q + 2 * k); /* of what is kept */
    real weight = kernel_input(call, 4)[t], of_rest = kernel_input(call, 3)[t];
    struct softmax s = softmax_exponentials(dx, x, v);
    real shift = softmax_log_sum(s);
    share_sums(call, t, x, shift, q, q + k, &mass, &loss);
    memset(marks, 0, (size_t)v);
    memcpy(scratch, x, (size_t)v * sizeof *x);
    for (int64_t j = 0; j < k; j++) {
        marks[ids[j]] = 1;
        scratch[ids[j]] = LOWEST;
    }
    struct others o = sum_others(scratch, marks, v);
    real rest = k < v ? r_flush(r_exp(of_rest)) : 0, share = 0;
    loss = r_flush(loss);
    if (rest != 0) {
        share = r_flush(r_rcp(o.sum));
        loss = r_flush(loss + r_flush(rest * r_flush((of_rest - (r_log(o.sum) + o.max)) + shift)));
    }
    real total = r_flush(r_flush(mass) + rest);
    for (int64_t c = 0, j = 0; c < v; c++) {
        real p = r_flush(r_flush(dx[c] * s.share) * total),
             target = r_flush(r_flush(scratch[c] * share) * rest);
        if (j < k && ids[j] == c)
            target = q[j++];
        dx[c] = r_flush(r_flush(p - target) * weight);
    }
    kernel_result(call, 0)[t] = loss;
}

/* ---- both ---- */

typedef void one_row(const struct kernel_call *call, int64_t t, real *scratch);

struct rows {
    struct kernel_call *call;
    one_row *row;
    size_t scratch; /* bytes */
};

static void rows_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct rows *r = payload;
    real *scratch = cpu_threads_scratch(r->call->threads, thread, r->scratch);
    for (int64_t t = first; t < end; t++)
        r->row(r->call, t, scratch);
}

static void for_rows(struct kernel_call *call, one_row *row, int64_t reals)
{
    int64_t v = kernel_last_dim(&call->inputs[0]);
    struct rows rows = {call, row, (size_t)reals * sizeof(real) + (size_t)v};
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(24 * v), rows_range, &rows);
}

/* x [n, v] -> logs [n, k], places [n, k], rest [n] */
void KERNEL(top_rows)(struct kernel_call *call)
{
    for_rows(call, top_row, kernel_last_dim(&call->inputs[0]));
}

/* student x [n, v], ids [n, k], logs [n, k], rest [n], weights [n] -> loss [n], dx [n, v] */
void KERNEL(kl_kept_rows)(struct kernel_call *call)
{
    int64_t v = kernel_last_dim(&call->inputs[0]), k = kernel_last_dim(&call->inputs[1]);
    if (kernel_ids_fit(call, &call->inputs[1], v))
        for_rows(call, kept_row, v + 2 * k);
}
