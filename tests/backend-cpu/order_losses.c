/* The losses by row, one addition after the other. */
#include "tests/backend-cpu/order.h"
#include "tests/support/test.h"

void order_of_ce_rows(const struct case_run *run, float *out[])
{
    int64_t v = dim(run, 0, 1);
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *x = in(run, 0) + t * v;
        int32_t label = ((const int32_t *)run->call.inputs[1].data)[t];
        float m = x[0];
        for (int64_t c = 1; c < v; c++)
            m = x[c] > m ? x[c] : m;
        struct row sum = {0};
        for (int64_t c = 0; c < v; c++)
            row_add(&sum, c, gm_flush(gm_exp(x[c] - m)));
        float total = row_end(&sum), z = gm_flush(gm_rcp(total));
        out[0][t] = gm_flush(gm_log(total) + gm_flush(m - x[label]));
        for (int64_t c = 0; c < v; c++) {
            float p = gm_flush(gm_flush(gm_exp(x[c] - m)) * z);
            out[1][t * v + c] = gm_flush(gm_flush(p - (c == label ? 1.0f : 0.0f)) * in(run, 2)[t]);
        }
    }
}

/* m, log S + m and the probabilities of a row. */
static float order_of_softmax(const float *x, int64_t v, float *p)
{
    float m = x[0];
    for (int64_t c = 1; c < v; c++)
        m = x[c] > m ? x[c] : m;
    struct row sum = {0};
    for (int64_t c = 0; c < v; c++)
        row_add(&sum, c, gm_flush(gm_exp(x[c] - m)));
    float total = row_end(&sum), z = gm_flush(gm_rcp(total));
    for (int64_t c = 0; c < v; c++)
        p[c] = gm_flush(gm_flush(gm_exp(x[c] - m)) * z);
    return gm_log(total) + m;
}

void order_of_kl_rows(const struct case_run *run, float *out[])
{
    int64_t v = dim(run, 0, 1);
    float *p = calloc((size_t)(2 * v), sizeof *p), *q = p + v;
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *x = in(run, 0) + t * v, *y = in(run, 1) + t * v;
        float of_x = order_of_softmax(x, v, p), of_y = order_of_softmax(y, v, q), shift = of_x - of_y;
        struct row loss = {0};
        for (int64_t c = 0; c < v; c++) {
            row_add(&loss, c, q[c] * gm_flush((y[c] - x[c]) + shift));
            out[1][t * v + c] = gm_flush(gm_flush(p[c] - q[c]) * in(run, 2)[t]);
        }
        out[0][t] = gm_flush(row_end(&loss));
    }
    free(p);
}

/* p, q [v] and the difference of the log-sums. */
static float order_of_pair(const struct case_run *run, int64_t t, float *p, float *q)
{
    int64_t v = dim(run, 0, 1);
    float of_x = order_of_softmax(in(run, 0) + t * v, v, p);
    return of_x - order_of_softmax(in(run, 1) + t * v, v, q);
}

void order_of_reverse_kl_rows(const struct case_run *run, float *out[])
{
    int64_t v = dim(run, 0, 1);
    float *p = calloc((size_t)(2 * v), sizeof *p), *q = p + v;
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *x = in(run, 0) + t * v, *y = in(run, 1) + t * v;
        float shift = order_of_pair(run, t, p, q);
        struct row sum = {0};
        for (int64_t c = 0; c < v; c++)
            row_add(&sum, c, p[c] * gm_flush((x[c] - y[c]) - shift));
        float loss = out[0][t] = gm_flush(row_end(&sum));
        for (int64_t c = 0; c < v; c++) {
            float d = gm_flush(p[c] * gm_flush(gm_flush((x[c] - y[c]) - shift) - loss));
            out[1][t * v + c] = gm_flush(d * in(run, 2)[t]);
        }
    }
    free(p);
}

static float order_of_log_twice(float part, float other)
{
    float sum = gm_flush(part + other);
    float share = sum == 0 ? 0 : gm_flush(part * gm_flush(gm_rcp(sum)));
    return share == 0 ? 0 : gm_flush(gm_log(share + share));
}

void order_of_js_rows(const struct case_run *run, float *out[])
{
    int64_t v = dim(run, 0, 1);
    float *p = calloc((size_t)(2 * v), sizeof *p), *q = p + v;
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        struct row of_p = {0}, of_q = {0};
        order_of_pair(run, t, p, q);
        for (int64_t c = 0; c < v; c++) {
            row_add(&of_p, c, p[c] * order_of_log_twice(p[c], q[c]));
            row_add(&of_q, c, q[c] * order_of_log_twice(q[c], p[c]));
        }
        float mean = gm_flush(row_end(&of_p));
        out[0][t] = gm_flush((mean + gm_flush(row_end(&of_q))) * 0.5f);
        for (int64_t c = 0; c < v; c++) {
            float d = gm_flush(p[c] * gm_flush(order_of_log_twice(p[c], q[c]) - mean));
            out[1][t * v + c] = gm_flush(gm_flush(d * 0.5f) * in(run, 2)[t]);
        }
    }
    free(p);
}

/* Whether fewer than `top` of the row are larger. */
static bool is_kept(const struct case_run *run, const float *y, int64_t c)
{
    int64_t larger = 0;
    for (int64_t i = 0; i < dim(run, 0, 1); i++)
        larger += y[i] > y[c];
    return larger < run->of->attributes.top;
}

/* Of the elements that are not kept: their largest n; out: log of the sum of exp(x - n), plus n. */
static float order_of_rest(const float *x, const bool *kept, int64_t v, float *largest, float *sum)
{
    float n = gm_float(0xff7fffffu);
    for (int64_t c = 0; c < v; c++)
        n = !kept[c] && x[c] > n ? x[c] : n;
    struct row total = {0};
    for (int64_t c = 0; c < v; c++)
        if (!kept[c])
            row_add(&total, c, gm_flush(gm_exp(x[c] - n)));
    *largest = n;
    *sum = row_end(&total);
    return gm_log(*sum) + n;
}

void order_of_kl_top_rows(const struct case_run *run, float *out[])
{
    int64_t v = dim(run, 0, 1);
    float *p = calloc((size_t)(2 * v), sizeof *p), *q = p + v, n, u;
    bool *kept = calloc((size_t)v, sizeof *kept);
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *x = in(run, 0) + t * v, *y = in(run, 1) + t * v;
        float shift = order_of_pair(run, t, p, q);
        struct row loss = {0}, rest = {0};
        for (int64_t c = 0; c < v; c++) {
            kept[c] = is_kept(run, y, c);
            row_add(kept[c] ? &loss : &rest, c, kept[c] ? q[c] * gm_flush((y[c] - x[c]) + shift) : q[c]);
        }
        float all = gm_flush(row_end(&rest)), of_y = order_of_rest(y, kept, v, &n, &u);
        float of_x = order_of_rest(x, kept, v, &n, &u);
        float of_rest = all == 0 ? 0 : gm_flush(all * gm_flush((of_y - of_x) + shift));
        out[0][t] = gm_flush(gm_flush(row_end(&loss)) + of_rest);
        for (int64_t c = 0; c < v; c++) {
            float share = all == 0 ? 0 : gm_flush(gm_flush(gm_exp(x[c] - n)) * gm_flush(gm_rcp(u)));
            float target = kept[c] ? q[c] : gm_flush(share * all);
            out[1][t * v + c] = gm_flush(gm_flush(p[c] - target) * in(run, 2)[t]);
        }
    }
    free(kept);
    free(p);
}

/* Whether fewer than k elements come before c: larger ones, and equal ones to its left. */
static bool comes_first(const float *y, int64_t v, int64_t c, int64_t k)
{
    int64_t before = 0;
    for (int64_t i = 0; i < v; i++)
        before += y[i] > y[c] || (y[i] == y[c] && i < c);
    return before < k;
}

/* Of the largest and of the sum of exponentials over it: m and S. */
static void order_of_sum(const float *x, int64_t v, float *m, float *sum)
{
    bool *none = calloc((size_t)v, sizeof *none);
    order_of_rest(x, none, v, m, sum);
    free(none);
}

void order_of_top_rows(const struct case_run *run, float *out[])
{
    int64_t v = dim(run, 0, 1), k = run->of->attributes.top;
    bool *kept = calloc((size_t)v, sizeof *kept);
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *y = in(run, 0) + t * v;
        float m, sum, n, u;
        int64_t count = 0;
        order_of_sum(y, v, &m, &sum);
        for (int64_t c = 0; c < v; c++) {
            kept[c] = comes_first(y, v, c, k);
            if (!kept[c])
                continue;
            out[0][t * k + count] = gm_flush(gm_flush(y[c] - m) - gm_log(sum));
            out[1][t * k + count++] = (float)c;
        }
        assert_int_equal(count, k);
        order_of_rest(y, kept, v, &n, &u);
        out[2][t] = k < v ? gm_flush((gm_flush(n - m) + gm_log(u)) - gm_log(sum)) : -128;
    }
    free(kept);
}

void order_of_kl_kept_rows(const struct case_run *run, float *out[])
{
    int64_t v = dim(run, 0, 1), k = dim(run, 1, 1);
    bool *kept = calloc((size_t)v, sizeof *kept);
    float *p = calloc((size_t)(2 * v), sizeof *p), *target = p + v, n, u;
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *x = in(run, 0) + t * v, *logs = in(run, 2) + t * k;
        float shift = order_of_softmax(x, v, p);
        struct row mass = {0}, loss = {0};
        memset(kept, 0, (size_t)v * sizeof *kept);
        for (int64_t j = 0; j < k; j++) {
            int32_t id = ((const int32_t *)run->call.inputs[1].data)[t * k + j];
            kept[id] = true;
            target[id] = gm_flush(gm_exp(logs[j]));
            row_add(&mass, j, target[id]);
            row_add(&loss, j, target[id] * gm_flush((logs[j] - x[id]) + shift));
        }
        float log_u = order_of_rest(x, kept, v, &n, &u), rest = k < v ? gm_flush(gm_exp(in(run, 3)[t])) : 0;
        float of_rest = rest == 0 ? 0 : gm_flush(rest * gm_flush((in(run, 3)[t] - log_u) + shift));
        float total = gm_flush(gm_flush(row_end(&mass)) + rest);
        out[0][t] = gm_flush(gm_flush(row_end(&loss)) + of_rest);
        for (int64_t c = 0; c < v; c++) {
            float share = rest == 0 ? 0 : gm_flush(gm_flush(gm_exp(x[c] - n)) * gm_flush(gm_rcp(u)));
            float aim = kept[c] ? target[c] : gm_flush(share * rest);
            out[1][t * v + c] = gm_flush(gm_flush(gm_flush(p[c] * total) - aim) * in(run, 4)[t]);
        }
    }
    free(kept);
    free(p);
}

void order_of_mse_rows(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, 1);
    float mean = gm_rcp(gm_from_uint((uint)d));
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        struct row sum = {0};
        for (int64_t c = 0; c < d; c++) {
            float e = gm_flush(in(run, 0)[t * d + c] - in(run, 1)[t * d + c]);
            row_add(&sum, c, e * e);
            out[1][t * d + c] = gm_flush(gm_flush(e * (mean + mean)) * in(run, 2)[t]);
        }
        out[0][t] = gm_flush(gm_flush(row_end(&sum)) * mean);
    }
}

static float order_of_row_product(const float *a, const float *b, int64_t d)
{
    struct row sum = {0};
    for (int64_t c = 0; c < d; c++)
        row_add(&sum, c, a[c] * b[c]);
    return gm_flush(row_end(&sum));
}

void order_of_cosine_loss_rows(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, 1);
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *a = in(run, 0) + t * d, *b = in(run, 1) + t * d;
        float aa = order_of_row_product(a, a, d), bb = order_of_row_product(b, b, d);
        out[0][t] = 1;
        if (aa == 0 || bb == 0)
            continue;
        float of_a = gm_flush(gm_rsqrt(aa)), of_b = gm_flush(gm_rsqrt(bb));
        float cosine = gm_flush(gm_flush(order_of_row_product(a, b, d) * of_a) * of_b);
        float along = gm_flush(cosine * gm_flush(of_a * of_a)), towards = gm_flush(of_a * of_b);
        out[0][t] = gm_flush(1 - cosine);
        for (int64_t c = 0; c < d; c++) {
            float slope = gm_flush(gm_flush(a[c] * along) - gm_flush(b[c] * towards));
            out[1][t * d + c] = gm_flush(slope * in(run, 2)[t]);
        }
    }
}
