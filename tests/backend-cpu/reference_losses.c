/* The formulas of the losses, each with its gradient times the weight of the row. */
#include "tests/backend-cpu/formulas.h"
#include "tests/support/test.h"
#include <math.h>
#include <stdlib.h>

static double log_sum(const double *x, int64_t count)
{
    double max = -INFINITY, sum = 0;
    EACH(i, count) max = fmax(max, x[i]);
    EACH(i, count) sum += exp(x[i] - max);
    return max + log(sum);
}

void reference_ce_rows(struct reference *r)
{
    int64_t v = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        const double *x = IN(0) + t * v;
        double total = log_sum(x, v);
        OUT(0)[t] = total - x[(int64_t)IN(1)[t]];
        EACH(c, v) OUT(1)[t * v + c] = (exp(x[c] - total) - (c == (int64_t)IN(1)[t])) * IN(2)[t];
    }
}

void reference_kl_rows(struct reference *r)
{
    int64_t v = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        const double *x = IN(0) + t * v, *y = IN(1) + t * v;
        double of_x = log_sum(x, v), of_y = log_sum(y, v);
        EACH(c, v)
        {
            double p = exp(x[c] - of_x), q = exp(y[c] - of_y);
            OUT(0)[t] += q * ((y[c] - of_y) - (x[c] - of_x));
            OUT(1)[t * v + c] = (p - q) * IN(2)[t];
        }
    }
}

/* The probabilities of a row and the largest of the teacher. */
struct shares {
    double *p, *q;
    int64_t v;
};

static struct shares shares_of(const double *x, const double *y, int64_t v)
{
    struct shares s = {calloc((size_t)v, sizeof(double)), calloc((size_t)v, sizeof(double)), v};
    double of_x = log_sum(x, v), of_y = log_sum(y, v);
    EACH(c, v) s.p[c] = exp(x[c] - of_x);
    EACH(c, v) s.q[c] = exp(y[c] - of_y);
    return s;
}

static void shares_release(struct shares s)
{
    free(s.p);
    free(s.q);
}

/* Whether fewer than k of the row are larger. */
static bool is_among_top(const double *y, int64_t v, int64_t c, int64_t k)
{
    int64_t larger = 0;
    EACH(i, v) larger += y[i] > y[c];
    return larger < k;
}

void reference_kl_top_rows(struct reference *r)
{
    int64_t v = last(&r->of->in[0]), k = r->of->attributes.top;
    EACH(t, rows_of(&r->of->in[0]))
    {
        const double *x = IN(0) + t * v, *y = IN(1) + t * v;
        struct shares s = shares_of(x, y, v);
        double p_rest = 0, q_rest = 0;
        EACH(c, v)
        {
            bool kept = is_among_top(y, v, c, k);
            p_rest += kept ? 0 : s.p[c];
            q_rest += kept ? 0 : s.q[c];
            OUT(0)[t] += kept ? s.q[c] * log(s.q[c] / s.p[c]) : 0;
        }
        OUT(0)[t] += q_rest > 0 ? q_rest * log(q_rest / p_rest) : 0;
        EACH(c, v)
        {
            double target = is_among_top(y, v, c, k) ? s.q[c] : s.p[c] * q_rest / p_rest;
            OUT(1)[t * v + c] = (s.p[c] - target) * IN(2)[t];
        }
        shares_release(s);
    }
}

/* Whether fewer than k elements come before c: larger ones, and equal ones to its left. */
static bool is_of_top(const double *y, int64_t v, int64_t c, int64_t k)
{
    int64_t before = 0;
    EACH(i, v) before += y[i] > y[c] || (y[i] == y[c] && i < c);
    return before < k;
}

void reference_top_rows(struct reference *r)
{
    int64_t v = last(&r->of->in[0]), k = r->of->attributes.top;
    EACH(t, rows_of(&r->of->in[0]))
    {
        const double *y = IN(0) + t * v;
        double total = log_sum(y, v), rest = 0;
        int64_t count = 0;
        EACH(c, v)
        {
            if (!is_of_top(y, v, c, k)) {
                rest += exp(y[c] - total);
                continue;
            }
            OUT(0)[t * k + count] = y[c] - total;
            OUT(1)[t * k + count++] = (double)c;
        }
        OUT(2)[t] = rest > 0 ? log(rest) : -128;
    }
}

void reference_kl_kept_rows(struct reference *r)
{
    int64_t v = last(&r->of->in[0]), k = last(&r->of->in[1]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        const double *x = IN(0) + t * v, *logs = IN(2) + t * k;
        double total = log_sum(x, v), rest = k < v ? exp(IN(3)[t]) : 0, mass = rest, p_rest = 0;
        double *target = calloc((size_t)v, sizeof *target);
        bool *kept = calloc((size_t)v, sizeof *kept);
        EACH(j, k)
        {
            int64_t id = (int64_t)IN(1)[t * k + j];
            kept[id] = true;
            target[id] = exp(logs[j]);
            mass += target[id];
            OUT(0)[t] += target[id] * (logs[j] - (x[id] - total));
        }
        EACH(c, v) p_rest += kept[c] ? 0 : exp(x[c] - total);
        OUT(0)[t] += rest > 0 ? rest * (IN(3)[t] - log(p_rest)) : 0;
        EACH(c, v)
        {
            double p = exp(x[c] - total), q = kept[c] ? target[c] : p / p_rest * rest;
            OUT(1)[t * v + c] = (p * mass - q) * IN(4)[t];
        }
        free(target);
        free(kept);
    }
}

void reference_reverse_kl_rows(struct reference *r)
{
    int64_t v = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        struct shares s = shares_of(IN(0) + t * v, IN(1) + t * v, v);
        EACH(c, v) OUT(0)[t] += s.p[c] * log(s.p[c] / s.q[c]);
        EACH(c, v) OUT(1)[t * v + c] = s.p[c] * (log(s.p[c] / s.q[c]) - OUT(0)[t]) * IN(2)[t];
        shares_release(s);
    }
}

void reference_js_rows(struct reference *r)
{
    int64_t v = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        struct shares s = shares_of(IN(0) + t * v, IN(1) + t * v, v);
        double of_p = 0, of_q = 0;
        EACH(c, v)
        {
            of_p += s.p[c] * log(2 * s.p[c] / (s.p[c] + s.q[c]));
            of_q += s.q[c] * log(2 * s.q[c] / (s.p[c] + s.q[c]));
        }
        OUT(0)[t] = (of_p + of_q) / 2;
        EACH(c, v)
        OUT(1)[t * v + c] = s.p[c] * (log(2 * s.p[c] / (s.p[c] + s.q[c])) - of_p) / 2 * IN(2)[t];
        shares_release(s);
    }
}

void reference_mse_rows(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0])) EACH(c, d)
    {
        double e = IN(0)[t * d + c] - IN(1)[t * d + c];
        OUT(0)[t] += e * e / (double)d;
        OUT(1)[t * d + c] = 2 * e / (double)d * IN(2)[t];
    }
}

void reference_cosine_loss_rows(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        const double *a = IN(0) + t * d, *b = IN(1) + t * d;
        double aa = product(a, a, d), bb = product(b, b, d), ab = product(a, b, d);
        double cosine = ab / sqrt(aa) / sqrt(bb);
        OUT(0)[t] = 1 - cosine;
        EACH(c, d) OUT(1)[t * d + c] = (a[c] / aa * cosine - b[c] / sqrt(aa) / sqrt(bb)) * IN(2)[t];
    }
}
