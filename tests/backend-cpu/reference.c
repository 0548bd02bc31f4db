/* The formulas. Sums run over whole axes at once: nothing here knows of blocks, lanes or flushing. */
#include "tests/backend-cpu/reference.h"
#include "tests/backend-cpu/formulas.h"
#include "tests/support/test.h"
#include <math.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void reference_embed(struct reference *r)
{
    EACH(t, case_count(r->of->in[1]))
    EACH(c, DIM(0, 1)) OUT(0)[t * DIM(0, 1) + c] = IN(0)[(int64_t)IN(1)[t] * DIM(0, 1) + c];
}

static void reference_embed_grad(struct reference *r)
{
    int64_t d = last(&r->of->in[1]);
    EACH(t, case_count(r->of->in[0])) EACH(c, d) OUT(0)[(int64_t)IN(0)[t] * d + c] += IN(1)[t * d + c];
}

static void multiply(struct reference *r, int64_t rows, int64_t columns, int64_t depth, int64_t x_row,
                     int64_t x_step, int64_t w_step, int64_t w_column)
{
    EACH(i, rows)
    EACH(j, columns)
    EACH(k, depth)
    OUT(0)[i * columns + j] += IN(0)[i * x_row + k * x_step] * IN(1)[k * w_step + j * w_column];
}

static void reference_matmul_nt(struct reference *r)
{
    int64_t k = last(&r->of->in[0]);
    multiply(r, rows_of(&r->of->in[0]), DIM(1, 0), k, k, 1, 1, k);
}

static void reference_matmul_nn(struct reference *r)
{
    int64_t k = last(&r->of->in[0]), n = DIM(1, 1);
    multiply(r, rows_of(&r->of->in[0]), n, k, k, 1, n, 1);
}

static void reference_matmul_tn(struct reference *r)
{
    int64_t m = last(&r->of->in[0]), n = last(&r->of->in[1]);
    multiply(r, m, n, rows_of(&r->of->in[0]), 1, m, n, 1);
}

static void reference_rmsnorm(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        double square = 0;
        EACH(c, d) square += pow(IN(0)[t * d + c], 2);
        OUT(1)[t] = 1 / sqrt(square / (double)d + (double)r->of->attributes.epsilon);
        EACH(c, d) OUT(0)[t * d + c] = IN(0)[t * d + c] * OUT(1)[t] * IN(1)[c];
    }
}

static void reference_rmsnorm_grad(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        double mean = 0, s = IN(2)[t];
        EACH(c, d) mean += IN(3)[t * d + c] * IN(1)[c] * IN(0)[t * d + c] / (double)d;
        EACH(c, d) OUT(0)[t * d + c] = s * IN(3)[t * d + c] * IN(1)[c] - IN(0)[t * d + c] * pow(s, 3) * mean;
    }
}

static void reference_rmsnorm_weight_grad(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    EACH(c, d) OUT(0)[c] += IN(0)[t * d + c] * IN(1)[t] * IN(2)[t * d + c];
}

static void norm_heads(struct reference *r, int64_t d)
{
    EACH(t, case_count(r->of->in[0]) / d)
    {
        double square = 0;
        EACH(c, d) square += pow(IN(0)[t * d + c], 2);
        OUT(1)[t] = 1 / sqrt(square / (double)d + (double)r->of->attributes.epsilon);
        EACH(c, d) OUT(0)[t * d + c] = IN(0)[t * d + c] * OUT(1)[t] * IN(1)[c];
    }
}

static void reference_head_rmsnorm(struct reference *r)
{
    norm_heads(r, DIM(1, 0));
}

static void reference_head_rmsnorm_grad(struct reference *r)
{
    int64_t d = DIM(1, 0);
    EACH(t, case_count(r->of->in[0]) / d)
    {
        double mean = 0, s = IN(2)[t];
        EACH(c, d) mean += IN(3)[t * d + c] * IN(1)[c] * IN(0)[t * d + c] / (double)d;
        EACH(c, d) OUT(0)[t * d + c] = s * IN(3)[t * d + c] * IN(1)[c] - IN(0)[t * d + c] * pow(s, 3) * mean;
    }
}

static void reference_head_rmsnorm_weight_grad(struct reference *r)
{
    int64_t d = case_count(r->of->out[0]);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i % d] += IN(0)[i] * IN(1)[i / d] * IN(2)[i];
}

static void reference_layernorm(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        double mean = 0, variance = 0;
        EACH(c, d) mean += IN(0)[t * d + c] / (double)d;
        EACH(c, d) variance += pow(IN(0)[t * d + c] - mean, 2) / (double)d;
        OUT(1)[t] = mean;
        OUT(2)[t] = 1 / sqrt(variance + (double)r->of->attributes.epsilon);
        EACH(c, d) OUT(0)[t * d + c] = (IN(0)[t * d + c] - mean) * OUT(2)[t] * IN(1)[c];
    }
}

static void reference_layernorm_grad(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        double of_g = 0, of_gh = 0, m = IN(2)[t], s = IN(3)[t];
        const double *x = IN(0) + t * d, *dy = IN(4) + t * d;
        EACH(c, d) of_g += dy[c] * IN(1)[c] / (double)d;
        EACH(c, d) of_gh += dy[c] * IN(1)[c] * (x[c] - m) * s / (double)d;
        EACH(c, d) OUT(0)[t * d + c] = s * (dy[c] * IN(1)[c] - of_g - (x[c] - m) * s * of_gh);
    }
}

static void reference_layernorm_weight_grad(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i % d] += (IN(0)[i] - IN(1)[i / d]) * IN(2)[i / d] * IN(3)[i];
}

static void reference_add_positions(struct reference *r)
{
    int64_t first = r->of->attributes.start * DIM(0, 2), one = DIM(0, 1) * DIM(0, 2);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] + IN(1)[first + i % one];
}

static void reference_add_positions_grad(struct reference *r)
{
    int64_t first = r->of->attributes.start * DIM(0, 2), one = DIM(0, 1) * DIM(0, 2);
    EACH(i, case_count(r->of->in[0])) OUT(0)[first + i % one] += IN(0)[i];
}

static void reference_rotary_table(struct reference *r)
{
    int64_t f = DIM(1, 0);
    EACH(p, DIM(0, 1)) EACH(j, f)
    {
        OUT(0)[(p * 2) * f + j] = cos((double)p * IN(1)[j]);
        OUT(0)[(p * 2 + 1) * f + j] = sin((double)p * IN(1)[j]);
    }
}

static void reference_rope(struct reference *r)
{
    int64_t s = DIM(0, 1), d = DIM(0, 2), f = DIM(1, 2);
    EACH(t, DIM(0, 0) * s) EACH(c, d)
    {
        int64_t j = c % f, half = c / f % 2, p = t % s;
        double cosine = IN(1)[p * 2 * f + j], sine = IN(1)[(p * 2 + 1) * f + j];
        if (r->of->attributes.inverse)
            sine = -sine;
        OUT(0)
        [t * d + c] = half ? IN(0)[t * d + c] * cosine + IN(0)[t * d + c - f] * sine
                           : IN(0)[t * d + c] * cosine - IN(0)[t * d + c + f] * sine;
    }
}

static void reference_rope_part(struct reference *r)
{
    int64_t s = DIM(0, 1), d = DIM(0, 2), f = DIM(1, 2), size = d / r->of->attributes.heads;
    EACH(t, DIM(0, 0) * s) EACH(c, d)
    {
        int64_t e = c % size, j = e % f, p = t % s;
        const double *x = IN(0) + t * d + c;
        double cosine = IN(1)[p * 2 * f + j], sine = IN(1)[(p * 2 + 1) * f + j];
        if (r->of->attributes.inverse)
            sine = -sine;
        OUT(0)
        [t * d + c] = e >= 2 * f ? *x : e >= f ? *x * cosine + x[-f] * sine : *x * cosine - x[f] * sine;
    }
}

/* Positions of a head's elements in q, k, v and o. */
struct heads {
    int64_t b, s, g, ratio, n, h, e;
    double scale, softcap;
    bool causal;
    int64_t window;
    const double *slopes; /* or NULL */
};

static struct heads heads_of(const struct reference *r)
{
    struct heads a = {
        .b = DIM(0, 0), .s = DIM(0, 1), .g = r->of->attributes.kv_heads, .n = r->of->attributes.heads};
    a.ratio = a.n / a.g;
    a.h = DIM(1, 2) / a.g;
    a.e = DIM(2, 2) / a.g;
    a.scale = (double)r->of->attributes.scale;
    a.causal = r->of->attributes.causal;
    a.window = r->of->attributes.window;
    a.softcap = (double)r->of->attributes.softcap;
    uint32_t input = op_constant_input(r->of->op);
    a.slopes = input == UINT32_MAX ? NULL : IN(input);
    return a;
}

static int64_t first_key(const struct heads *a, int64_t i)
{
    return a->window > 0 && i - a->window + 1 > 0 ? i - a->window + 1 : 0;
}

static double *q_of(const struct heads *a, double *q, int64_t b, int64_t i, int64_t n)
{
    return q + ((b * a->s + i) * a->n + n) * a->h;
}

static double *k_of(const struct heads *a, double *k, int64_t b, int64_t j, int64_t n)
{
    return k + ((b * a->s + j) * a->g + n / a->ratio) * a->h;
}

static double *v_of(const struct heads *a, double *v, int64_t b, int64_t j, int64_t n)
{
    return v + ((b * a->s + j) * a->g + n / a->ratio) * a->e;
}

static double *o_of(const struct heads *a, double *o, int64_t b, int64_t i, int64_t n)
{
    return o + ((b * a->s + i) * a->n + n) * a->e;
}

static double score_of(struct reference *r, const struct heads *a, int64_t b, int64_t i, int64_t j, int64_t n)
{
    double s = product(q_of(a, IN(0), b, i, n), k_of(a, IN(1), b, j, n), a->h) * a->scale;
    s = a->softcap > 0 ? a->softcap * tanh(s / a->softcap) : s;
    return a->slopes ? s - a->slopes[n] * (double)(i - j) : s;
}

static void reference_attention(struct reference *r)
{
    struct heads a = heads_of(r);
    double *w = calloc((size_t)a.s, sizeof *w);
    EACH(b, a.b) EACH(i, a.s) EACH(n, a.n)
    {
        int64_t keys = a.causal ? i + 1 : a.s, first = first_key(&a, i);
        double max = -INFINITY, sum = 0;
        for (int64_t j = first; j < keys; j++) {
            w[j] = score_of(r, &a, b, i, j, n);
            max = fmax(max, w[j]);
        }
        EACH(j, keys) sum += w[j] = j < first ? 0 : exp(w[j] - max);
        EACH(j, keys) EACH(c, a.e) o_of(&a, OUT(0), b, i, n)[c] += w[j] / sum * v_of(&a, IN(2), b, j, n)[c];
        OUT(1)[((b * a.s + i) * a.n + n) * 2] = max;
        OUT(1)[((b * a.s + i) * a.n + n) * 2 + 1] = 1 / sum;
    }
    free(w);
}

static void reference_attention_delta(struct reference *r)
{
    int64_t n = r->of->attributes.heads, e = DIM(0, 2) / n;
    EACH(i, DIM(0, 0) * DIM(0, 1) * n) OUT(0)[i] = product(IN(0) + i * e, IN(1) + i * e, e);
}

/* A pair of query and key, with its probability and its pull-back. */
static void add_pair(struct reference *r, const struct heads *a, int64_t b, int64_t i, int64_t j, int64_t n,
                     double p, double t)
{
    EACH(c, a->h) q_of(a, OUT(0), b, i, n)[c] += t * k_of(a, IN(1), b, j, n)[c] * a->scale;
    EACH(c, a->h) k_of(a, OUT(1), b, j, n)[c] += t * q_of(a, IN(0), b, i, n)[c] * a->scale;
    EACH(c, a->e) v_of(a, OUT(2), b, j, n)[c] += p * o_of(a, IN(3), b, i, n)[c];
}

static void reference_attention_grad(struct reference *r)
{
    struct heads a = heads_of(r);
    EACH(b, a.b) EACH(i, a.s) EACH(n, a.n) EACH(j, a.causal ? i + 1 : a.s)
    {
        if (j < first_key(&a, i))
            continue;
        int64_t at = (b * a.s + i) * a.n + n;
        double s = score_of(r, &a, b, i, j, n), bend = a.softcap > 0 ? s / a.softcap : 0;
        double p = exp(s - IN(4)[2 * at]) * IN(4)[2 * at + 1];
        double d = product(o_of(&a, IN(3), b, i, n), v_of(&a, IN(2), b, j, n), a.e);
        add_pair(r, &a, b, i, j, n, p, p * (d - IN(5)[at]) * (1 - bend * bend));
    }
}

static void reference_sloped_attention(struct reference *r)
{
    reference_attention(r);
}

static void reference_sloped_attention_grad(struct reference *r)
{
    reference_attention_grad(r);
}

static void reference_silu(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] * sigmoid(IN(0)[i]);
}

static void reference_silu_grad(struct reference *r)
{
    EACH(i, case_count(r->of->in[0]))
    {
        double x = IN(0)[i], s = sigmoid(x);
        OUT(0)[i] = IN(1)[i] * (s + x * s * (1 - s));
    }
}

static void reference_relu(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = fmax(IN(0)[i], 0);
}

static void reference_relu_grad(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] > 0 ? IN(1)[i] : 0;
}

/* Constants of the activations are what single precision has for them. */
static const double root_half = (double)0.70710678f, root_2_pi = (double)0.79788456f,
                    peak = (double)0.39894228f, cubic = (double)0.044715f, cubic_slope = (double)0.134145f;

static void reference_gelu(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] * 0.5 * (1 + erf(IN(0)[i] * root_half));
}

static void reference_gelu_grad(struct reference *r)
{
    EACH(i, case_count(r->of->in[0]))
    {
        double z = IN(0)[i] * root_half;
        OUT(0)[i] = IN(1)[i] * (0.5 * (1 + erf(z)) + IN(0)[i] * exp(-z * z) * peak);
    }
}

static double gelu_tangent(double x)
{
    return tanh(root_2_pi * x * (1 + cubic * x * x));
}

static void reference_gelu_tanh(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] * 0.5 * (1 + gelu_tangent(IN(0)[i]));
}

static void reference_gelu_tanh_grad(struct reference *r)
{
    EACH(i, case_count(r->of->in[0]))
    {
        double x = IN(0)[i], t = gelu_tangent(x);
        OUT(0)[i] = IN(1)[i] * 0.5 * (1 + t + x * (1 - t * t) * root_2_pi * (1 + cubic_slope * x * x));
    }
}

static void reference_tanh(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = tanh(IN(0)[i]);
}

static void reference_tanh_grad(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(1)[i] * (1 - IN(0)[i] * IN(0)[i]);
}

static void reference_add(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] + IN(1)[i % case_count(r->of->in[1])];
}

static void reference_mul(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] * IN(1)[i % case_count(r->of->in[1])];
}

static void reference_scale(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] * (double)r->of->attributes.scale;
}

static void reference_scale_ratio(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i] * IN(1)[0] / IN(2)[0];
}

static void reference_spread(struct reference *r)
{
    int64_t d = r->of->attributes.rows;
    EACH(t, case_count(r->of->in[0])) EACH(c, d) OUT(0)[t * d + c] = IN(0)[t];
}

static void reference_attention_log_sums(struct reference *r)
{
    EACH(i, case_count(r->of->in[0]) / 2) OUT(0)[i] = IN(0)[2 * i] - log(IN(0)[2 * i + 1]);
}

static void reference_column_sum(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i % d] += IN(0)[i];
}

static void reference_column_squares(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i % d] += IN(0)[i] * IN(0)[i];
}

static void reference_place_rows(struct reference *r)
{
    int64_t start = r->of->attributes.start * last(&r->of->in[1]);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i] = IN(0)[i];
    EACH(i, case_count(r->of->in[1])) OUT(0)[start + i] = IN(1)[i];
}

static void reference_dot(struct reference *r)
{
    OUT(0)[0] = product(IN(0), IN(1), case_count(r->of->in[0]));
}

static void reference_block_squares(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[i / 4096] += IN(0)[i] * IN(0)[i];
}

static void reference_sum(struct reference *r)
{
    EACH(i, case_count(r->of->in[0])) OUT(0)[0] += IN(0)[i];
}

static void reference_clip(struct reference *r)
{
    double norm = sqrt(IN(0)[0]) * IN(1)[10];
    OUT(0)[0] = IN(1)[10] * (norm > IN(1)[9] ? IN(1)[9] / norm : 1);
    OUT(0)[1] = norm;
}

static void reference_adamw(struct reference *r)
{
    const double *h = IN(4);
    EACH(i, case_count(r->of->in[0]))
    {
        double g = IN(1)[i] * IN(5)[0], m = h[1] * IN(2)[i] + h[2] * g, v = h[3] * IN(3)[i] + h[4] * g * g;
        double keep = r->of->attributes.decay ? h[8] : 1;
        OUT(0)[i] = keep * IN(0)[i] - h[0] * (m * h[5]) / (sqrt(v * h[6]) + h[7]);
        OUT(1)[i] = m;
        OUT(2)[i] = v;
    }
}

static void reference_head_norms(struct reference *r)
{
    int64_t n = r->of->attributes.heads, e = DIM(0, 2) / n;
    EACH(i, case_count(r->of->out[0])) OUT(0)[i] = sqrt(product(IN(0) + i * e, IN(0) + i * e, e));
}

static void reference_mean_abs(struct reference *r)
{
    int64_t s = DIM(0, 1), c = DIM(0, 2);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i / (s * c) * c + i % c] += fabs(IN(0)[i]) / (double)s;
}

static void reference_sequence_norm(struct reference *r)
{
    int64_t s = DIM(0, 1), c = DIM(0, 2);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i / (s * c) * c + i % c] += IN(0)[i] * IN(0)[i];
    EACH(i, case_count(r->of->out[0])) OUT(0)[i] = sqrt(OUT(0)[i]);
}

static void reference_sequence_moments(struct reference *r)
{
    int64_t s = DIM(0, 1), c = DIM(0, 2);
    EACH(i, case_count(r->of->in[0])) OUT(0)[i / (s * c) * c + i % c] += IN(0)[i] / (double)s;
    EACH(i, case_count(r->of->in[0]))
    {
        int64_t at = i / (s * c) * c + i % c;
        double d = IN(0)[i] - OUT(0)[at];
        OUT(1)[at] += d * d / (double)s;
    }
}

static void reference_cosine_rows(struct reference *r)
{
    int64_t d = last(&r->of->in[0]);
    EACH(t, rows_of(&r->of->in[0]))
    {
        const double *a = IN(0) + t * d, *b = IN(1) + t * d;
        OUT(0)[t] = product(a, b, d) / sqrt(product(a, a, d)) / sqrt(product(b, b, d));
    }
}

static void reference_rows(struct reference *r)
{
    (void)r; /* a view: no kernel */
}

static void reference_items(struct reference *r)
{
    (void)r;
}

static void (*const formulas[OP_COUNT])(struct reference *) = {
#define OP(name, ...) [OP_##name] = reference_##name,
#include "ir/ops.def"
};

struct reference reference_compute(const struct case_run *run)
{
    struct reference r = {.of = run->of};
    for (uint32_t i = 0; i < run->call.input_count; i++) {
        const struct kernel_operand *operand = &run->call.inputs[i];
        r.in[i] = calloc((size_t)operand->count, sizeof(double));
        bool integer = case_is_integer(run->of->op, i);
        EACH(n, operand->count)
        r.in[i][n] = integer ? ((const int32_t *)operand->data)[n] : case_get(run, operand, n);
    }
    for (uint32_t i = 0; i < run->call.result_count; i++)
        r.out[i] = calloc((size_t)run->call.results[i].count, sizeof(double));
    formulas[run->of->op](&r);
    return r;
}

void reference_release(struct reference *r)
{
    for (uint32_t i = 0; i < NODE_MAX_INPUTS; i++)
        free(r->in[i]);
    for (uint32_t i = 0; i < NODE_MAX_RESULTS; i++)
        free(r->out[i]);
}
