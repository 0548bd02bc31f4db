/* Gradient kernels against finite differences of the forward kernels, in the double build. */
#include "tests/backend-cpu/cases.h"
#include "tests/support/test.h"
#include <math.h>

/* A forward case whose scalar is the sum of its results times `seeds` (one array a result, NULL: not
 * counted). */
struct forward {
    struct case_run run;
    const double *seeds[NODE_MAX_RESULTS];
    struct cpu_threads *threads;
};

static double scalar(struct forward *f)
{
    case_run_call(&f->run, kernel_table_double, f->threads);
    double sum = 0;
    for (uint32_t r = 0; r < f->run.call.result_count; r++)
        for (int64_t i = 0; f->seeds[r] && i < f->run.call.results[r].count; i++)
            sum += f->seeds[r][i] * ((const double *)f->run.call.results[r].data)[i];
    return sum;
}

/* Four-point central difference. */
static double difference(struct forward *f, uint32_t input, int64_t i)
{
    const double h = 1e-3;
    double *x = (double *)f->run.call.inputs[input].data + i, at = *x, value[4];
    const double steps[4] = {-2 * h, -h, h, 2 * h};
    for (int s = 0; s < 4; s++) {
        *x = at + steps[s];
        value[s] = scalar(f);
    }
    *x = at;
    return (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
}

static void check_gradient(struct forward *f, uint32_t input, const double *gradient)
{
    int64_t count = f->run.call.inputs[input].count;
    for (int64_t n = 0; n < 40 && n < count; n++) {
        int64_t i = count <= 40 ? n : n * count / 40;
        double expected = difference(f, input, i);
        if (!(fabs(expected - gradient[i]) <= 1e-8 * (1 + fabs(expected))))
            fail_msg("%s, input %u, element %d: %.12g, differences give %.12g", op_table[f->run.of->op].name,
                     input, (int)i, gradient[i], expected);
    }
}

static struct cpu_threads *make_threads(void)
{
    struct trace trace = {0};
    struct cpu_threads *threads = NULL;
    assert_ok(cpu_threads_create(&threads, 2, &trace), &trace);
    return threads;
}

static void copy(struct case_run *to, uint32_t input, const struct kernel_operand *from)
{
    assert_int_equal(to->call.inputs[input].count, from->count);
    memcpy(to->call.inputs[input].data, from->data, (size_t)from->count * sizeof(double));
}

static void rmsnorm_has_the_right_gradients(void **state)
{
    (void)state;
    static const struct op_case norm = {
        OP_rmsnorm, {.epsilon = 1e-2f}, {{2, {5, 67}}, {1, {67}}}, {{2, {5, 67}}, {1, {5}}}};
    static const struct op_case of_x = {
        OP_rmsnorm_grad, {0}, {{2, {5, 67}}, {1, {67}}, {1, {5}}, {2, {5, 67}}}, {{2, {5, 67}}}};
    static const struct op_case of_w = {
        OP_rmsnorm_weight_grad, {0}, {{2, {5, 67}}, {1, {5}}, {2, {5, 67}}}, {{1, {67}}}};
    struct forward f = {.run = case_run_create(&norm, CASE_DOUBLE, CASE_EVEN, 1), .threads = make_threads()};
    struct case_run x = case_run_create(&of_x, CASE_DOUBLE, CASE_EVEN, 2);
    struct case_run w = case_run_create(&of_w, CASE_DOUBLE, CASE_EVEN, 3);
    case_run_call(&f.run, kernel_table_double, f.threads);
    copy(&x, 0, &f.run.call.inputs[0]);
    copy(&x, 1, &f.run.call.inputs[1]);
    copy(&x, 2, &f.run.call.results[1]);
    copy(&w, 0, &f.run.call.inputs[0]);
    copy(&w, 1, &f.run.call.results[1]);
    copy(&w, 2, &x.call.inputs[3]);
    case_run_call(&x, kernel_table_double, f.threads);
    case_run_call(&w, kernel_table_double, f.threads);
    f.seeds[0] = x.call.inputs[3].data;
    check_gradient(&f, 0, x.call.results[0].data);
    check_gradient(&f, 1, w.call.results[0].data);
    case_run_release(&w);
    case_run_release(&x);
    case_run_release(&f.run);
    cpu_threads_destroy(f.threads);
}

static void check_attention(enum op op, int64_t causal, int64_t s, int64_t window, float softcap)
{
    const struct kernel_attributes a = {
        .heads = 6, .kv_heads = 2, .scale = 0.7f, .causal = causal, .window = window, .softcap = softcap};
    bool is_sloped = op == OP_sloped_attention;
    const struct op_case forward = {op,
                                    a,
                                    {{3, {2, s, 24}}, {3, {2, s, 8}}, {3, {2, s, 10}}, {1, {6}}},
                                    {{3, {2, s, 30}}, {4, {2, s, 6, 2}}}};
    const struct op_case delta = {
        OP_attention_delta, a, {{3, {2, s, 30}}, {3, {2, s, 30}}}, {{3, {2, s, 6}}}};
    struct op_case gradient = forward;
    gradient.op = is_sloped ? OP_sloped_attention_grad : OP_attention_grad;
    gradient.in[3] = forward.out[0], gradient.in[4] = forward.out[1], gradient.in[5] = delta.out[0];
    gradient.in[6] = forward.in[3];
    memcpy(gradient.out, forward.in, 3 * sizeof gradient.out[0]);

    struct forward f = {.run = case_run_create(&forward, CASE_DOUBLE, CASE_EVEN, 1),
                        .threads = make_threads()};
    struct case_run d = case_run_create(&delta, CASE_DOUBLE, CASE_EVEN, 2);
    struct case_run g = case_run_create(&gradient, CASE_DOUBLE, CASE_EVEN, 3);
    case_run_call(&f.run, kernel_table_double, f.threads);
    copy(&d, 0, &f.run.call.results[0]);
    case_run_call(&d, kernel_table_double, f.threads);
    for (uint32_t i = 0; i < 3; i++)
        copy(&g, i, &f.run.call.inputs[i]);
    copy(&g, 3, &d.call.inputs[1]);
    copy(&g, 4, &f.run.call.results[1]);
    copy(&g, 5, &d.call.results[0]);
    if (is_sloped)
        copy(&g, 6, &f.run.call.inputs[3]);
    case_run_call(&g, kernel_table_double, f.threads);
    f.seeds[0] = d.call.inputs[1].data;
    for (uint32_t i = 0; i < 3; i++)
        check_gradient(&f, i, g.call.results[i].data);
    case_run_release(&g);
    case_run_release(&d);
    case_run_release(&f.run);
    cpu_threads_destroy(f.threads);
}

static void attention_has_the_right_gradients(void **state)
{
    (void)state;
    check_attention(OP_attention, 1, 11, 0, 0);
    check_attention(OP_attention, 0, 7, 0, 0);
    check_attention(OP_attention, 1, 1, 0, 0);
    check_attention(OP_attention, 1, 11, 3, 0);
    check_attention(OP_attention, 0, 7, 0, 0.5f);
    check_attention(OP_attention, 1, 70, 9, 1.5f);
    check_attention(OP_sloped_attention, 1, 11, 0, 0);
    check_attention(OP_sloped_attention, 0, 7, 0, 0);
    check_attention(OP_sloped_attention, 1, 70, 9, 0);
}

static void silu_has_the_right_gradient(void **state)
{
    (void)state;
    static const struct op_case silu = {OP_silu, {0}, {{1, {30}}}, {{1, {30}}}};
    static const struct op_case of_x = {OP_silu_grad, {0}, {{1, {30}}, {1, {30}}}, {{1, {30}}}};
    struct forward f = {.run = case_run_create(&silu, CASE_DOUBLE, CASE_EVEN, 1), .threads = make_threads()};
    struct case_run x = case_run_create(&of_x, CASE_DOUBLE, CASE_EVEN, 2);
    copy(&x, 0, &f.run.call.inputs[0]);
    case_run_call(&x, kernel_table_double, f.threads);
    f.seeds[0] = x.call.inputs[1].data;
    check_gradient(&f, 0, x.call.results[0].data);
    case_run_release(&x);
    case_run_release(&f.run);
    cpu_threads_destroy(f.threads);
}

/* The gradient of a rotation is the rotation back. */
static void rope_has_the_right_gradient(void **state)
{
    (void)state;
    static const struct op_case turn = {OP_rope, {0}, {{3, {2, 5, 12}}, {3, {5, 2, 3}}}, {{3, {2, 5, 12}}}};
    struct op_case back = turn;
    back.attributes.inverse = 1;
    struct forward f = {.run = case_run_create(&turn, CASE_DOUBLE, CASE_EVEN, 1), .threads = make_threads()};
    struct case_run x = case_run_create(&back, CASE_DOUBLE, CASE_EVEN, 2);
    copy(&x, 1, &f.run.call.inputs[1]);
    case_run_call(&x, kernel_table_double, f.threads);
    f.seeds[0] = x.call.inputs[0].data;
    check_gradient(&f, 0, x.call.results[0].data);
    case_run_release(&x);
    case_run_release(&f.run);
    cpu_threads_destroy(f.threads);
}

static void embed_has_the_right_gradient(void **state)
{
    (void)state;
    static const struct op_case embed = {OP_embed, {0}, {{2, {6, 4}}, {1, {20}}}, {{2, {20, 4}}}};
    static const struct op_case of_table = {
        OP_embed_grad, {.rows = 6}, {{1, {20}}, {2, {20, 4}}}, {{2, {6, 4}}}};
    struct forward f = {.run = case_run_create(&embed, CASE_DOUBLE, CASE_EVEN, 1), .threads = make_threads()};
    struct case_run table = case_run_create(&of_table, CASE_DOUBLE, CASE_EVEN, 2);
    memcpy(table.call.inputs[0].data, f.run.call.inputs[1].data, 20 * sizeof(int32_t));
    case_run_call(&table, kernel_table_double, f.threads);
    f.seeds[0] = table.call.inputs[1].data;
    check_gradient(&f, 0, table.call.results[0].data);
    case_run_release(&table);
    case_run_release(&f.run);
    cpu_threads_destroy(f.threads);
}

/* Losses give their own gradients, those of weight * loss. */
static void check_loss(enum op op, int64_t top)
{
    const struct case_shape rows = {2, {7, 23}}, one = {1, {7}};
    const struct op_case loss = {op, {.top = top}, {rows, op == OP_ce_rows ? one : rows, one}, {one, rows}};
    struct forward f = {.run = case_run_create(&loss, CASE_DOUBLE, CASE_EVEN, 1), .threads = make_threads()};
    case_run_call(&f.run, kernel_table_double, f.threads);
    double gradient[7 * 23];
    memcpy(gradient, f.run.call.results[1].data, sizeof gradient);
    f.seeds[0] = f.run.call.inputs[2].data;
    check_gradient(&f, 0, gradient);
    case_run_release(&f.run);
    cpu_threads_destroy(f.threads);
}

/* Kept log-probabilities and a rest that are no distribution: the loss is still a function of the logits. */
static void kept_logs_have_the_right_gradient(void **state)
{
    (void)state;
    for (int64_t kept = 1; kept <= 23; kept += 11) {
        const struct op_case loss = {
            OP_kl_kept_rows, {0}, {S2(7, 23), S2(7, kept), S2(7, kept), S1(7), S1(7)}, {S1(7), S2(7, 23)}};
        struct forward f = {.run = case_run_create(&loss, CASE_DOUBLE, CASE_EVEN, 1),
                            .threads = make_threads()};
        case_run_call(&f.run, kernel_table_double, f.threads);
        double gradient[7 * 23];
        memcpy(gradient, f.run.call.results[1].data, sizeof gradient);
        f.seeds[0] = f.run.call.inputs[4].data;
        check_gradient(&f, 0, gradient);
        case_run_release(&f.run);
        cpu_threads_destroy(f.threads);
    }
}

static void losses_have_the_right_gradients(void **state)
{
    (void)state;
    check_loss(OP_ce_rows, 0);
    check_loss(OP_kl_rows, 0);
    for (int64_t top = 1; top <= 23; top += 11)
        check_loss(OP_kl_top_rows, top);
    check_loss(OP_reverse_kl_rows, 0);
    check_loss(OP_js_rows, 0);
    check_loss(OP_mse_rows, 0);
    check_loss(OP_cosine_loss_rows, 0);
}

/* PyTorch 2's functional losses and autograd in double, for these rows: F.kl_div of log_softmax (of the two
 * largest and the logsumexp of the others; with the mean of both distributions), F.mse_loss,
 * F.cosine_similarity. Gradients are of the sum of weight times loss. */
static const double torch_x[] = {0.5, -1.25, 2.0, 0.75, -0.5, 1.5, 0.25, -2.0, 0.0, 3.0};
static const double torch_y[] = {1.0, -0.5, 1.75, -2.0, 0.25, -0.75, 2.5, 0.5, 1.25, -1.0};
static const double torch_weights[] = {1.0, 0.5};
// clang-format off
static const struct torch_loss {
    enum op op;
    double losses[2], gradient[10];
} torch_losses[] = {
    {OP_kl_rows, {0.229657607283881, 2.23289625766868},
     {-0.122065988163396, -0.0339909119560844, 0.0651896962965919, 0.162825964998599, -0.0719587611757107, 0.0700310981262051, -0.311597701591835, -0.0428823440455087, -0.0775624816496983, 0.362011429160837}},
    {OP_kl_top_rows, {0.0536484519153608, 1.83096825028294},
     {-0.122065988163396, 0.00541366724499574, 0.0651896962965919, 0.0400018909742169, 0.0114607336475915, 0.0706038098763874, -0.311597701591835, 0.00213205031791375, -0.0775624816496983, 0.316424323047232}},
    {OP_reverse_kl_rows, {0.37490646946696, 2.78884269870099},
     {-0.138563017203758, -0.0300238039257517, -0.161013112463722, 0.393160327002824, -0.063560393409592, -0.0776267217908635, -0.12929573012541, -0.0142545333506362, -0.0821678929795773, 0.303344878246487}},
    {OP_js_rows, {0.063719461382689, 0.460192292953192},
     {-0.0288206936390205, -0.00703474756498072, 0.000673974267039586, 0.0500740276488917, -0.0148925607119301, 0.00457239438678092, -0.0292489708719455, -0.00337774632675745, -0.0145137800714051, 0.0425681028833271}},
    {OP_mse_rows, {1.8, 6.7875},
     {-0.2, -0.3, 0.1, 1.1, -0.3, 0.45, -0.45, -0.5, -0.25, 0.8}},
    {OP_cosine_loss_rows, {0.597249669422078, 1.37067141322332},
     {-0.103853858828269, -0.00886557331460834, -0.113352687379635, 0.314094597431838, -0.0639587789125316, 0.0127339499100527, -0.105990170538458, 0.00361425641011396, -0.0514821407254605, 0.00487504352992116}},
};
// clang-format on

static void losses_and_gradients_are_those_of_pytorch(void **state)
{
    (void)state;
    struct cpu_threads *threads = make_threads();
    for (size_t n = 0; n < sizeof torch_losses / sizeof *torch_losses; n++) {
        const struct torch_loss *expected = &torch_losses[n];
        const struct op_case c = {expected->op, {.top = 2}, {S2(2, 5), S2(2, 5), S1(2)}, {S1(2), S2(2, 5)}};
        struct case_run run = case_run_create(&c, CASE_DOUBLE, CASE_EVEN, 1);
        memcpy(run.call.inputs[0].data, torch_x, sizeof torch_x);
        memcpy(run.call.inputs[1].data, torch_y, sizeof torch_y);
        memcpy(run.call.inputs[2].data, torch_weights, sizeof torch_weights);
        case_run_call(&run, kernel_table_double, threads);
        const double *losses = run.call.results[0].data, *gradient = run.call.results[1].data;
        for (int i = 0; i < 2; i++)
            assert_true(fabs(losses[i] - expected->losses[i]) < 1e-13);
        for (int i = 0; i < 10; i++)
            if (!(fabs(gradient[i] - expected->gradient[i]) < 1e-13))
                fail_msg("%s: element %d of the gradient is %.15g, PyTorch has %.15g",
                         op_table[expected->op].name, i, gradient[i], expected->gradient[i]);
        case_run_release(&run);
    }
    cpu_threads_destroy(threads);
}

/* What top_rows keeps of the teacher gives the loss and gradient of PyTorch's kl_top_rows above. */
static void kept_logs_give_the_loss_of_pytorch(void **state)
{
    (void)state;
    struct cpu_threads *threads = make_threads();
    const struct torch_loss *expected = &torch_losses[1];
    static const struct op_case keep = {OP_top_rows, {.top = 2}, {S2(2, 5)}, {S2(2, 2), S2(2, 2), S1(2)}};
    static const struct op_case loss = {
        OP_kl_kept_rows, {0}, {S2(2, 5), S2(2, 2), S2(2, 2), S1(2), S1(2)}, {S1(2), S2(2, 5)}};
    struct case_run top = case_run_create(&keep, CASE_DOUBLE, CASE_EVEN, 1);
    struct case_run kl = case_run_create(&loss, CASE_DOUBLE, CASE_EVEN, 1);
    assert_int_equal(expected->op, OP_kl_top_rows);
    memcpy(top.call.inputs[0].data, torch_y, sizeof torch_y);
    case_run_call(&top, kernel_table_double, threads);
    memcpy(kl.call.inputs[0].data, torch_x, sizeof torch_x);
    for (int i = 0; i < 4; i++)
        ((int32_t *)kl.call.inputs[1].data)[i] = (int32_t)((const double *)top.call.results[1].data)[i];
    memcpy(kl.call.inputs[2].data, top.call.results[0].data, 4 * sizeof(double));
    memcpy(kl.call.inputs[3].data, top.call.results[2].data, 2 * sizeof(double));
    memcpy(kl.call.inputs[4].data, torch_weights, sizeof torch_weights);
    case_run_call(&kl, kernel_table_double, threads);
    for (int i = 0; i < 2; i++)
        assert_true(fabs(((const double *)kl.call.results[0].data)[i] - expected->losses[i]) < 1e-13);
    for (int i = 0; i < 10; i++)
        assert_true(fabs(((const double *)kl.call.results[1].data)[i] - expected->gradient[i]) < 1e-13);
    case_run_release(&top);
    case_run_release(&kl);
    cpu_threads_destroy(threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_has_the_right_gradients),
        cmocka_unit_test(attention_has_the_right_gradients),
        cmocka_unit_test(silu_has_the_right_gradient),
        cmocka_unit_test(rope_has_the_right_gradient),
        cmocka_unit_test(embed_has_the_right_gradient),
        cmocka_unit_test(losses_have_the_right_gradients),
        cmocka_unit_test(losses_and_gradients_are_those_of_pytorch),
        cmocka_unit_test(kept_logs_have_the_right_gradient),
        cmocka_unit_test(kept_logs_give_the_loss_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
