/* The order of additions that ir/ops.def fixes, written down literally in scalar code, against the kernels:
 * every bit. */
#include "backend-cpu/isa.h"
#include "tests/backend-cpu/cases.h"
#include "tests/backend-cpu/order.h"
#include "tests/support/test.h"

static void order_of_matmul(const struct case_run *run, float *out[])
{
    enum op op = run->of->op;
    int64_t n = op == OP_matmul_nt ? dim(run, 1, 0) : dim(run, 1, run->of->in[1].rank - 1);
    int64_t k = run->call.inputs[1].count / n, t = run->call.results[0].count / n;
    for (int64_t i = 0; i < t; i++)
        for (int64_t j = 0; j < n; j++) {
            struct product p = {0};
            for (int64_t c = 0; c < k; c++)
                product_add(&p, c, op == OP_matmul_tn ? in(run, 0)[c * t + i] : in(run, 0)[i * k + c],
                            op == OP_matmul_nt ? in(run, 1)[j * k + c] : in(run, 1)[c * n + j]);
            out[0][i * n + j] = gm_flush(product_end(&p));
        }
}

static void order_of_sum(const struct case_run *run, float *out[])
{
    struct row r = {0};
    for (int64_t i = 0; i < run->call.inputs[0].count; i++)
        row_add(&r, i, run->of->op == OP_sum ? in(run, 0)[i] : in(run, 0)[i] * in(run, 1)[i]);
    out[0][0] = run->of->op == OP_sum ? gm_flush_square(row_end(&r)) : gm_flush(row_end(&r));
}

static void order_of_block_squares(const struct case_run *run, float *out[])
{
    for (int64_t b = 0; b < run->call.results[0].count; b++) {
        struct row r = {0};
        for (int64_t i = 0; i < 4096 && b * 4096 + i < run->call.inputs[0].count; i++)
            row_add(&r, i, in(run, 0)[b * 4096 + i] * in(run, 0)[b * 4096 + i]);
        out[0][b] = gm_flush_square(row_end(&r));
    }
}

static void order_of_column_sum(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, 1);
    for (int64_t c = 0; c < d; c++) {
        struct product p = {0};
        for (int64_t t = 0; t < dim(run, 0, 0); t++)
            product_add(&p, t, in(run, 0)[t * d + c], 1);
        out[0][c] = gm_flush(product_end(&p));
    }
}

static void order_of_embed_grad(const struct case_run *run, float *out[])
{
    const int32_t *ids = run->call.inputs[0].data;
    int64_t d = dim(run, 1, 1);
    for (int64_t v = 0; v < run->of->attributes.rows; v++)
        for (int64_t c = 0; c < d; c++) {
            struct product p = {0};
            for (int64_t t = 0; t < dim(run, 0, 0); t++)
                product_add(&p, t, ids[t] == v ? in(run, 1)[t * d + c] : 0, 1);
            out[0][v * d + c] = gm_flush(product_end(&p));
        }
}

static void order_of_rmsnorm(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, run->of->in[0].rank - 1);
    for (int64_t t = 0; t < run->call.results[1].count; t++) {
        const float *x = in(run, 0) + t * d;
        struct row square = {0};
        for (int64_t c = 0; c < d; c++)
            row_add(&square, c, x[c] * x[c]);
        float mean = row_end(&square) * gm_rcp(gm_from_uint((uint32_t)d));
        float r = gm_flush(gm_rsqrt(mean + run->of->attributes.epsilon));
        out[1][t] = r;
        for (int64_t c = 0; c < d; c++)
            out[0][t * d + c] = gm_flush(gm_flush(x[c] * r) * in(run, 1)[c]);
    }
}

static void order_of_rmsnorm_grad(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, 1);
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *x = in(run, 0) + t * d, *w = in(run, 1), *dy = in(run, 3) + t * d;
        float r = in(run, 2)[t];
        struct row sum = {0};
        for (int64_t c = 0; c < d; c++)
            row_add(&sum, c, gm_flush(dy[c] * w[c]) * x[c]);
        float k = gm_flush(gm_flush(row_end(&sum)) * gm_rcp(gm_from_uint((uint32_t)d)));
        float k3 = gm_flush(gm_flush(k * r) * gm_flush(r * r));
        for (int64_t c = 0; c < d; c++)
            out[0][t * d + c] = gm_flush(r * gm_flush(dy[c] * w[c]) - x[c] * k3);
    }
}

static float mean_of(struct row *sum, int64_t d)
{
    return gm_flush(gm_flush(row_end(sum)) * gm_rcp(gm_from_uint((uint32_t)d)));
}

static void order_of_layernorm(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, run->of->in[0].rank - 1);
    for (int64_t t = 0; t < run->call.results[1].count; t++) {
        const float *x = in(run, 0) + t * d;
        struct row sum = {0}, square = {0};
        for (int64_t c = 0; c < d; c++)
            row_add(&sum, c, x[c]);
        float m = mean_of(&sum, d);
        for (int64_t c = 0; c < d; c++)
            row_add(&square, c, gm_flush(x[c] - m) * gm_flush(x[c] - m));
        float variance = row_end(&square) * gm_rcp(gm_from_uint((uint32_t)d));
        float r = gm_flush(gm_rsqrt(variance + run->of->attributes.epsilon));
        out[1][t] = m;
        out[2][t] = r;
        for (int64_t c = 0; c < d; c++)
            out[0][t * d + c] = gm_flush(gm_flush(gm_flush(x[c] - m) * r) * in(run, 1)[c]);
    }
}

static void order_of_layernorm_grad(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, 1);
    for (int64_t t = 0; t < dim(run, 0, 0); t++) {
        const float *x = in(run, 0) + t * d, *w = in(run, 1), *dy = in(run, 4) + t * d;
        float m = in(run, 2)[t], r = in(run, 3)[t];
        struct row sum = {0}, product = {0};
        for (int64_t c = 0; c < d; c++) {
            row_add(&sum, c, gm_flush(dy[c] * w[c]));
            row_add(&product, c, gm_flush(dy[c] * w[c]) * gm_flush(gm_flush(x[c] - m) * r));
        }
        float a = mean_of(&sum, d), k = mean_of(&product, d);
        for (int64_t c = 0; c < d; c++) {
            float h = gm_flush(gm_flush(x[c] - m) * r), g = gm_flush(dy[c] * w[c]);
            out[0][t * d + c] = gm_flush(r * gm_flush(gm_flush(g - a) - h * k));
        }
    }
}

static void order_of_layernorm_weight_grad(const struct case_run *run, float *out[])
{
    int64_t d = dim(run, 0, 1);
    for (int64_t c = 0; c < d; c++) {
        struct product p = {0};
        for (int64_t t = 0; t < dim(run, 0, 0); t++)
            product_add(&p, t, gm_flush(gm_flush(in(run, 0)[t * d + c] - in(run, 1)[t]) * in(run, 2)[t]),
                        in(run, 3)[t * d + c]);
        out[0][c] = gm_flush(product_end(&p));
    }
}

static void order_of_add_positions_grad(const struct case_run *run, float *out[])
{
    int64_t b = dim(run, 0, 0), s = dim(run, 0, 1), d = dim(run, 0, 2), start = run->of->attributes.start;
    for (int64_t row = 0; row < run->of->attributes.rows; row++)
        for (int64_t c = 0; c < d; c++) {
            struct product p = {0};
            for (int64_t i = 0; row >= start && row < start + s && i < b; i++)
                product_add(&p, i, in(run, 0)[(i * s + row - start) * d + c], 1);
            out[0][row * d + c] = gm_flush(product_end(&p));
        }
}

/* Sizes of attention and its gradients, and the quantities of one pair of query i and key j of query head n.
 */
struct attention {
    const struct case_run *run;
    int64_t s, g, n, h, e;
};

static struct attention attention_of(const struct case_run *run)
{
    const struct kernel_attributes *a = &run->of->attributes;
    return (struct attention){run,
                              dim(run, 0, 1),
                              a->kv_heads,
                              a->heads,
                              dim(run, 1, 2) / a->kv_heads,
                              dim(run, 2, 2) / a->kv_heads};
}

static bool sees(const struct attention *a, int64_t i, int64_t j)
{
    int64_t window = a->run->of->attributes.window;
    return (!a->run->of->attributes.causal || j <= i) && (window == 0 || i - j < window);
}

static const float *query(const struct attention *a, int64_t b, int64_t i, int64_t n)
{
    return in(a->run, 0) + ((b * a->s + i) * a->n + n) * a->h;
}

static const float *key(const struct attention *a, int64_t b, int64_t j, int64_t n)
{
    return in(a->run, 1) + ((b * a->s + j) * a->g + n / (a->n / a->g)) * a->h;
}

static const float *value(const struct attention *a, int64_t b, int64_t j, int64_t n)
{
    return in(a->run, 2) + ((b * a->s + j) * a->g + n / (a->n / a->g)) * a->e;
}

static const float *output_gradient(const struct attention *a, int64_t b, int64_t i, int64_t n)
{
    return in(a->run, 3) + ((b * a->s + i) * a->n + n) * a->e;
}

static float inner(const float *x, const float *y, int64_t count)
{
    struct product p = {0};
    for (int64_t c = 0; c < count; c++)
        product_add(&p, c, x[c], y[c]);
    return gm_flush(product_end(&p));
}

static float score(const struct attention *a, int64_t b, int64_t i, int64_t j, int64_t n)
{
    const struct kernel_attributes *of = &a->run->of->attributes;
    float s = gm_flush(inner(query(a, b, i, n), key(a, b, j, n), a->h) * of->scale);
    if (of->softcap > 0)
        return gm_flush(gm_flush(gm_tanh(gm_flush(s * gm_rcp(of->softcap)))) * of->softcap);
    uint32_t input = op_constant_input(a->run->of->op);
    return input == UINT32_MAX ? s : gm_flush(s - gm_flush(in(a->run, input)[n] * (float)(i - j)));
}

static void order_of_attention(const struct case_run *run, float *out[])
{
    struct attention a = attention_of(run);
    for (int64_t t = 0; t < dim(run, 0, 0) * a.s * a.n; t++) {
        int64_t n = t % a.n, i = t / a.n % a.s, b = t / a.n / a.s;
        float m = score(&a, b, i, i, n);
        for (int64_t j = 0; j < a.s; j++)
            if (sees(&a, i, j) && score(&a, b, i, j, n) > m)
                m = score(&a, b, i, j, n);
        struct row sum = {0};
        for (int64_t j = 0; j < a.s; j++)
            if (sees(&a, i, j))
                row_add(&sum, j, gm_flush(gm_exp(score(&a, b, i, j, n) - m)));
        float z = gm_flush(gm_rcp(row_end(&sum)));
        for (int64_t c = 0; c < a.e; c++) {
            struct product p = {0};
            for (int64_t j = 0; j < a.s; j++)
                if (sees(&a, i, j))
                    product_add(&p, j, gm_flush(gm_exp(score(&a, b, i, j, n) - m)), value(&a, b, j, n)[c]);
            out[0][t * a.e + c] = gm_flush(gm_flush(product_end(&p)) * z);
        }
        out[1][2 * t] = m;
        out[1][2 * t + 1] = z;
    }
}

/* p and t of a pair, from the stored m, z and delta. */
static float weight_of(const struct attention *a, int64_t b, int64_t i, int64_t j, int64_t n)
{
    const float *stats = in(a->run, 4) + ((b * a->s + i) * a->n + n) * 2;
    return gm_flush(gm_flush(gm_exp(score(a, b, i, j, n) - stats[0])) * stats[1]);
}

static float pull_of(const struct attention *a, int64_t b, int64_t i, int64_t j, int64_t n)
{
    float d = inner(output_gradient(a, b, i, n), value(a, b, j, n), a->e);
    float delta = in(a->run, 5)[(b * a->s + i) * a->n + n];
    float t = gm_flush(weight_of(a, b, i, j, n) * gm_flush(d - delta)),
          softcap = a->run->of->attributes.softcap;
    if (softcap == 0)
        return t;
    float y = gm_flush(score(a, b, i, j, n) * gm_rcp(softcap));
    return gm_flush(t * gm_flush(1 - gm_flush(y * y)));
}

static void order_of_queries(const struct case_run *run, float *dq)
{
    struct attention a = attention_of(run);
    for (int64_t t = 0; t < dim(run, 0, 0) * a.s * a.n; t++) {
        int64_t n = t % a.n, i = t / a.n % a.s, b = t / a.n / a.s;
        struct product *p = calloc((size_t)a.h, sizeof *p);
        for (int64_t j = 0; j < a.s; j++) {
            float pull = sees(&a, i, j) ? pull_of(&a, b, i, j, n) : 0;
            for (int64_t c = 0; c < a.h; c++)
                product_add(&p[c], j, pull, key(&a, b, j, n)[c]);
        }
        for (int64_t c = 0; c < a.h; c++)
            dq[t * a.h + c] = gm_flush(gm_flush(product_end(&p[c])) * run->of->attributes.scale);
        free(p);
    }
}

/* Adds the sum over queries of one head to the sums of its group. */
static void add_head(const struct attention *a, int64_t b, int64_t j, int64_t n, float *dk, float *dv)
{
    struct product *of_k = calloc((size_t)(a->h + a->e), sizeof *of_k), *of_v = of_k + a->h;
    for (int64_t i = 0; i < a->s; i++) {
        float pull = sees(a, i, j) ? pull_of(a, b, i, j, n) : 0,
              weight = sees(a, i, j) ? weight_of(a, b, i, j, n) : 0;
        for (int64_t c = 0; c < a->h; c++)
            product_add(&of_k[c], i, pull, query(a, b, i, n)[c]);
        for (int64_t c = 0; c < a->e; c++)
            product_add(&of_v[c], i, weight, output_gradient(a, b, i, n)[c]);
    }
    for (int64_t c = 0; c < a->h; c++)
        dk[c] = dk[c] + product_end(&of_k[c]);
    for (int64_t c = 0; c < a->e; c++)
        dv[c] = dv[c] + product_end(&of_v[c]);
    free(of_k);
}

static void order_of_attention_grad(const struct case_run *run, float *out[])
{
    struct attention a = attention_of(run);
    int64_t ratio = a.n / a.g;
    order_of_queries(run, out[0]);
    for (int64_t t = 0; t < dim(run, 0, 0) * a.s * a.g; t++) {
        int64_t g = t % a.g, j = t / a.g % a.s, b = t / a.g / a.s;
        float *dk = out[1] + t * a.h, *dv = out[2] + t * a.e;
        memset(dk, 0, (size_t)a.h * sizeof *dk);
        memset(dv, 0, (size_t)a.e * sizeof *dv);
        for (int64_t n = g * ratio; n < (g + 1) * ratio; n++)
            add_head(&a, b, j, n, dk, dv);
        for (int64_t c = 0; c < a.h; c++)
            dk[c] = gm_flush(gm_flush(dk[c]) * run->of->attributes.scale);
        for (int64_t c = 0; c < a.e; c++)
            dv[c] = gm_flush(dv[c]);
    }
}

static void order_of_adamw(const struct case_run *run, float *out[])
{
    const float *h = in(run, 4);
    for (int64_t i = 0; i < run->call.inputs[0].count; i++) {
        float g = gm_flush(in(run, 1)[i] * in(run, 5)[0]);
        float m = out[1][i] = gm_flush(h[1] * in(run, 2)[i] + h[2] * g);
        float v = out[2][i] = gm_flush_square(h[3] * in(run, 3)[i] + h[4] * (g * g));
        float root = gm_flush(gm_sqrt(v * h[6])) + h[7];
        float u = gm_flush(gm_flush(m * h[5]) * gm_flush(gm_rcp(root)));
        float w = in(run, 0)[i];
        out[0][i] = gm_flush((run->of->attributes.decay ? h[8] * w : w) - gm_flush(h[0] * u));
    }
}

static void (*const orders[OP_COUNT])(const struct case_run *run, float *out[]) = {
    [OP_matmul_nt] = order_of_matmul,
    [OP_matmul_nn] = order_of_matmul,
    [OP_matmul_tn] = order_of_matmul,
    [OP_sum] = order_of_sum,
    [OP_dot] = order_of_sum,
    [OP_block_squares] = order_of_block_squares,
    [OP_column_sum] = order_of_column_sum,
    [OP_embed_grad] = order_of_embed_grad,
    [OP_rmsnorm] = order_of_rmsnorm,
    [OP_rmsnorm_grad] = order_of_rmsnorm_grad,
    [OP_layernorm] = order_of_layernorm,
    [OP_layernorm_grad] = order_of_layernorm_grad,
    [OP_layernorm_weight_grad] = order_of_layernorm_weight_grad,
    [OP_add_positions_grad] = order_of_add_positions_grad,
    [OP_attention] = order_of_attention,
    [OP_attention_grad] = order_of_attention_grad,
    [OP_sloped_attention] = order_of_attention,
    [OP_sloped_attention_grad] = order_of_attention_grad,
    [OP_ce_rows] = order_of_ce_rows,
    [OP_kl_rows] = order_of_kl_rows,
    [OP_kl_top_rows] = order_of_kl_top_rows,
    [OP_top_rows] = order_of_top_rows,
    [OP_kl_kept_rows] = order_of_kl_kept_rows,
    [OP_reverse_kl_rows] = order_of_reverse_kl_rows,
    [OP_js_rows] = order_of_js_rows,
    [OP_mse_rows] = order_of_mse_rows,
    [OP_cosine_loss_rows] = order_of_cosine_loss_rows,
    [OP_adamw] = order_of_adamw,
};

static void check_case(const struct op_case *c, enum case_values values, kernel_function *const *table,
                       struct cpu_threads *threads)
{
    struct case_run run = case_run_create(c, CASE_FLOAT, values, 7);
    case_run_call(&run, table, threads);
    float *out[NODE_MAX_RESULTS] = {NULL};
    for (uint32_t r = 0; r < run.call.result_count; r++)
        out[r] = calloc((size_t)run.call.results[r].count, sizeof(float));
    orders[c->op](&run, out);
    for (uint32_t r = 0; r < run.call.result_count; r++)
        for (int64_t i = 0; i < run.call.results[r].count; i++) {
            uint32_t got = ((const uint32_t *)run.call.results[r].data)[i], expected = gm_bits(out[r][i]);
            if (got != expected) {
                char text[256];
                case_describe(c, text);
                fail_msg("%s: result %u, element %d: %08x, expected %08x", text, r, (int)i, got, expected);
            }
        }
    for (uint32_t r = 0; r < run.call.result_count; r++)
        free(out[r]);
    case_run_release(&run);
}

static void kernels_add_in_the_golden_order(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *threads = NULL;
    assert_ok(cpu_threads_create(&threads, 2, &trace), &trace);
    for (enum cpu_isa isa = CPU_ISA_BEST + 1; isa < CPU_ISA_COUNT; isa++) {
        struct isa_kernels kernels;
        if (!cpu_isa_is_available(isa, NUMERICS_GOLDEN))
            continue;
        assert_ok(isa_find_kernels(&kernels, isa, NUMERICS_GOLDEN, &trace), &trace);
        for (uint32_t n = 0; n < op_case_count; n++)
            if (orders[op_cases[n].op]) {
                check_case(&op_cases[n], CASE_EVEN, kernels.table, threads);
                check_case(&op_cases[n], CASE_ALL_EXPONENTS, kernels.table, threads);
            }
    }
    cpu_threads_destroy(threads);
}

static void the_order_matters_for_these_inputs(void **state)
{
    (void)state;
    float one_sum = 0;
    struct row lanes = {0};
    struct product blocks = {0};
    uint32_t x = 1;
    for (int64_t i = 0; i < 5003; i++) {
        x = x * 1664525u + 1013904223u;
        float value = (float)(x >> 8) * 0x1p-24f;
        one_sum = one_sum + value;
        row_add(&lanes, i, value);
        product_add(&blocks, i, value, 1);
    }
    float by_lanes = row_end(&lanes), by_blocks = product_end(&blocks);
    assert_true(one_sum != by_lanes && one_sum != by_blocks && by_lanes != by_blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_add_in_the_golden_order),
        cmocka_unit_test(the_order_matters_for_these_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
