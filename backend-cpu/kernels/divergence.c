/* Other divergences of the teacher's from the student's distribution than forward KL, row by row, with the
 * gradient of the student's logits: reverse KL, Jensen-Shannon (Lin 1991), and forward KL over the teacher's
 * largest with all others as one token. Gradients are those of weight * loss; the loss is unweighted. */
#include "backend-cpu/kernels.h"
#include "backend-cpu/kernels/largest.h"
#include "backend-cpu/kernels/softmax.h"

/* A row of student and teacher [v], and where its results go. */
struct pair {
    const real *x, *y;
    real weight, *dx;
    int64_t v;
};

typedef real row_loss(const struct kernel_call *call, struct pair row, real *scratch);

struct losses {
    struct kernel_call *call;
    row_loss *row;
    size_t scratch; /* rows of v */
};

static void loss_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    const struct losses *l = payload;
    const struct kernel_call *call = l->call;
    int64_t v = kernel_last_dim(&call->inputs[0]);
    real *scratch = cpu_threads_scratch(call->threads, thread, l->scratch * (size_t)v * sizeof *scratch);
    for (int64_t t = first; t < end; t++) {
        struct pair row = {.x = kernel_input(call, 0) + t * v,
                           .y = kernel_input(call, 1) + t * v,
                           .weight = kernel_input(call, 2)[t],
                           .dx = kernel_result(call, 1) + t * v,
                           .v = v};
        kernel_result(call, 0)[t] = l->row(call, row, scratch);
    }
}

static void for_rows(struct kernel_call *call, row_loss *row, size_t scratch)
{
    struct losses losses = {call, row, scratch};
    int64_t v = kernel_last_dim(&call->inputs[0]);
    cpu_threads_for(call->threads, kernel_rows(&call->inputs[0]), kernel_grain(24 * v), loss_range, &losses);
}

/* p in dx, q [v]; returns log-sum of x less that of y. */
static real distributions(struct pair row, real *q)
{
    struct softmax sx = softmax_exponentials(row.dx, row.x, row.v),
                   sy = softmax_exponentials(q, row.y, row.v);
    ELEMENTWISE
    for (int64_t c = 0; c < row.v; c++) {
        row.dx[c] = r_flush(row.dx[c] * sx.share);
        q[c] = r_flush(q[c] * sy.share);
    }
    return softmax_log_sum(sx) - softmax_log_sum(sy);
}

/* scratch: q or u, and the terms */
static real reverse_row(const struct kernel_call *call, struct pair row, real *scratch)
{
    (void)call;
    real *u = scratch, *terms = scratch + row.v, shift = distributions(row, u);
    ELEMENTWISE
    for (int64_t c = 0; c < row.v; c++) {
        u[c] = r_flush((row.x[c] - row.y[c]) - shift);
        terms[c] = row.dx[c] * u[c];
    }
    real loss = r_flush(row_sum(terms, row.v));
    ELEMENTWISE
    for (int64_t c = 0; c < row.v; c++)
        row.dx[c] = r_flush(r_flush(row.dx[c] * r_flush(u[c] - loss)) * row.weight);
    return loss;
}

/* student x [n, v], teacher y [n, v], weights [n] -> loss [n], dx [n, v] */
void KERNEL(reverse_kl_rows)(struct kernel_call *call)
{
    for_rows(call, reverse_row, 2);
}

/* The logarithm of twice a share, 0 for none. */
static real log_twice(real share)
{
    return share == 0 ? 0 : r_flush(r_log(share + share));
}

/* scratch: q, then what it adds; a; the terms */
static real js_row(const struct kernel_call *call, struct pair row, real *scratch)
{
    (void)call;
    real *q = scratch, *a = q + row.v, *terms = a + row.v;
    (void)distributions(row, q);
    for (int64_t c = 0; c < row.v; c++) {
        real sum = r_flush(row.dx[c] + q[c]), share = r_flush(r_rcp(sum == 0 ? (real)1 : sum));
        a[c] = log_twice(r_flush(row.dx[c] * share));
        terms[c] = row.dx[c] * a[c];
        q[c] = q[c] * log_twice(r_flush(q[c] * share));
    }
    const real half = R_CONST(0x3f000000u); /* 0.5 */
    real of_x = r_flush(row_sum(terms, row.v)), of_y = r_flush(row_sum(q, row.v));
    ELEMENTWISE
    for (int64_t c = 0; c < row.v; c++)
        row.dx[c] = r_flush(r_flush(r_flush(row.dx[c] * r_flush(a[c] - of_x)) * half) * row.weight);
    return r_flush((of_x + of_y) * half);
}

/* student x [n, v], teacher y [n, v], weights [n] -> loss [n], dx [n, v] */
void KERNEL(js_rows)(struct kernel_call *call)
{
    for_rows(call, js_row, 3);
}

/* What is one token: its largest and its sum of exponentials over that, left in e [v] (0 for the kept). */
static struct softmax rest_of(real *e, const real *x, const real *y, real least_kept, int64_t v)
{
    real max = R_CONST(0xff7fffffu); /* the lowest finite float */
    for (int64_t c = 0; c < v; c++)
        max = y[c] < least_kept ? r_max(max, x[c]) : max;
    row_exponentials(e, x, max, v);
    for (int64_t c = 0; c < v; c++)
        e[c] = y[c] < least_kept ? e[c] : 0;
    return (struct softmax){.max = max, .sum = row_sum(e, v)};
}

/* scratch: q, then terms; e of the rest */
static real top_row(const struct kernel_call *call, struct pair row, real *scratch)
{
    const real *x = row.x, *y = row.y;
    real *q = scratch, *e = q + row.v;
    real least_kept = kth_largest(y, row.v, call->attributes.top, e), shift = distributions(row, q);
    for (int64_t c = 0; c < row.v; c++)
        e[c] = y[c] < least_kept ? q[c] : 0;
    real rest = r_flush(row_sum(e, row.v)), of_rest = 0;
    struct softmax sy = rest_of(e, y, y, least_kept, row.v), sx = rest_of(e, x, y, least_kept, row.v);
    if (rest != 0) {
        sx.share = r_flush(r_rcp(sx.sum));
        of_rest = r_flush(rest * r_flush((softmax_log_sum(sy) - softmax_log_sum(sx)) + shift));
    }
    for (int64_t c = 0; c < row.v; c++) {
        bool is_kept = !(y[c] < least_kept);
        real target = is_kept ? q[c] : r_flush(r_flush(e[c] * sx.share) * rest);
        row.dx[c] = r_flush(r_flush(row.dx[c] - target) * row.weight);
        q[c] = is_kept ? q[c] * r_flush((y[c] - x[c]) + shift) : 0;
    }
    return r_flush(r_flush(row_sum(q, row.v)) + of_rest);
}

/* student x [n, v], teacher y [n, v], weights [n] -> loss [n], dx [n, v] */
void KERNEL(kl_top_rows)(struct kernel_call *call)
{
    for_rows(call, top_row, 2);
}
