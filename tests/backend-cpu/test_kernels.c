/* Every kernel against its formula in double precision, and against itself on every instruction set, thread
 * count and treatment of subnormal numbers. */
#include "backend-cpu/isa.h"
#include "tests/backend-cpu/cases.h"
#include "tests/backend-cpu/reference.h"
#include "tests/support/test.h"
#include <math.h>
#if defined __x86_64__
#include <xmmintrin.h>
#endif

/* Error of one element, as a share of its own magnitude and the tensor's root mean square. */
static double worst_error(const struct case_run *run, const struct kernel_operand *result,
                          const double *expected)
{
    double square = 0, worst = 0;
    for (int64_t i = 0; i < result->count; i++)
        square += expected[i] * expected[i];
    double scale = sqrt(square / (double)result->count);
    for (int64_t i = 0; i < result->count; i++) {
        double error = fabs(case_get(run, result, i) - expected[i]) / (fabs(expected[i]) + scale + 1e-15);
        if (!(error <= worst))
            worst = error;
    }
    return worst;
}

/* Longest chain of roundings behind an element, roughly: sums grow like a random walk. */
static double bound(const struct op_case *c)
{
    int64_t terms = 1;
    for (uint32_t i = 0; i < op_table[c->op].inputs; i++)
        for (uint32_t a = 0; a < c->in[i].rank; a++)
            terms = c->in[i].dims[a] > terms ? c->in[i].dims[a] : terms;
    double units = c->op == OP_rotary_table ? (double)terms : 16 + 3 * sqrt((double)terms);
    if (c->op == OP_kl_rows) /* a difference of logarithms: the error is of their size, not of the result's */
        units = 2 * units;
    return units * 0x1p-24;
}

static void check_against_formula(enum case_precision precision, kernel_function *const *table, double factor)
{
    struct trace trace = {0};
    struct cpu_threads *threads = NULL;
    assert_ok(cpu_threads_create(&threads, 2, &trace), &trace);
    for (uint32_t n = 0; n < op_case_count; n++) {
        struct case_run run = case_run_create(&op_cases[n], precision, CASE_EVEN, n + 1);
        case_run_call(&run, table, threads);
        struct reference expected = reference_compute(&run);
        for (uint32_t r = 0; r < run.call.result_count; r++) {
            double error = worst_error(&run, &run.call.results[r], expected.out[r]);
            char text[256];
            case_describe(&op_cases[n], text);
            if (!(error <= bound(&op_cases[n]) * factor))
                fail_msg("%s: result %u: error %.3g, allowed %.3g", text, r, error,
                         bound(&op_cases[n]) * factor);
        }
        reference_release(&expected);
        case_run_release(&run);
    }
    cpu_threads_destroy(threads);
}

static void golden_kernels_compute_their_formulas(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct isa_kernels kernels;
    assert_ok(isa_find_kernels(&kernels, CPU_ISA_BEST, NUMERICS_GOLDEN, &trace), &trace);
    check_against_formula(CASE_FLOAT, kernels.table, 1);
}

static void double_kernels_compute_their_formulas(void **state)
{
    (void)state;
    check_against_formula(CASE_DOUBLE, kernel_table_double, 0x1p-24);
}

static void every_op_has_a_case(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        bool found = (op_table[op].flags & OP_VIEW) != 0;
        for (uint32_t n = 0; n < op_case_count; n++)
            found = found || (int)op_cases[n].op == op;
        if (!found)
            fail_msg("no case for %s", op_table[op].name);
    }
}

static void assert_same(const struct case_run *a, const struct case_run *b, const char *what)
{
    for (uint32_t r = 0; r < a->call.result_count; r++) {
        const uint32_t *x = a->call.results[r].data, *y = b->call.results[r].data;
        for (int64_t i = 0; i < a->call.results[r].count; i++)
            if (x[i] != y[i]) {
                char text[256];
                case_describe(a->of, text);
                fail_msg("%s: result %u, element %d: %08x, but %08x with %s", text, r, (int)i, x[i], y[i],
                         what);
            }
    }
}

/* The plainest way: instruction set default, one thread. */
static struct case_run plain_run(uint32_t n, enum case_values values, struct cpu_threads *one)
{
    struct case_run run = case_run_create(&op_cases[n], CASE_FLOAT, values, n + 1);
    case_run_call(&run, kernel_table_default, one);
    return run;
}

static void bytes_depend_on_neither_instruction_set_nor_threads(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *threads[3] = {NULL};
    for (uint32_t t = 0; t < 3; t++)
        assert_ok(cpu_threads_create(&threads[t], t + 1, &trace), &trace);
    for (uint32_t n = 0; n < 2 * op_case_count; n++) {
        enum case_values values = n < op_case_count ? CASE_EVEN : CASE_ALL_EXPONENTS;
        struct case_run plain = plain_run(n % op_case_count, values, threads[0]);
        for (enum cpu_isa isa = CPU_ISA_default; isa < CPU_ISA_COUNT; isa++)
            for (uint32_t t = 0; t < 3 && cpu_isa_is_available(isa, NUMERICS_GOLDEN); t++) {
                struct isa_kernels kernels;
                assert_ok(isa_find_kernels(&kernels, isa, NUMERICS_GOLDEN, &trace), &trace);
                struct case_run run = case_run_create(plain.of, CASE_FLOAT, values, n % op_case_count + 1);
                case_run_call(&run, kernels.table, threads[t]);
                assert_same(&plain, &run, kernels.name);
                case_run_release(&run);
            }
        case_run_release(&plain);
    }
    for (uint32_t t = 0; t < 3; t++)
        cpu_threads_destroy(threads[t]);
}

static void results_are_canonical(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *one = NULL;
    assert_ok(cpu_threads_create(&one, 1, &trace), &trace);
    for (uint32_t n = 0; n < op_case_count; n++) {
        struct case_run run = plain_run(n, CASE_ALL_EXPONENTS, one);
        enum op op = op_cases[n].op;
        for (uint32_t r = 0; r < run.call.result_count; r++)
            for (int64_t i = 0; i < run.call.results[r].count; i++) {
                uint32_t u = ((const uint32_t *)run.call.results[r].data)[i], a = u & 0x7fffffffu;
                bool square = op == OP_block_squares || op == OP_sum || (op == OP_adamw && r == 2);
                if (!(u == 0 || (a >= (square ? 0x03800000u : 0x26000000u) && a < 0x7f800000u)))
                    fail_msg("%s: result %u, element %d is %08x", op_table[op].name, r, (int)i, u);
            }
        case_run_release(&run);
    }
    cpu_threads_destroy(one);
}

#if defined __x86_64__
enum { DENORMAL_FLAG = 0x0002, UNDERFLOW_FLAG = 0x0010, STICKY_FLAGS = 0x003f };

static void no_kernel_meets_a_subnormal_number(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *one = NULL;
    assert_ok(cpu_threads_create(&one, 1, &trace), &trace);
    for (enum cpu_isa isa = CPU_ISA_default; isa < CPU_ISA_COUNT; isa++)
        for (uint32_t n = 0; n < 2 * op_case_count && cpu_isa_is_available(isa, NUMERICS_GOLDEN); n++) {
            struct isa_kernels kernels;
            assert_ok(isa_find_kernels(&kernels, isa, NUMERICS_GOLDEN, &trace), &trace);
            struct case_run run = case_run_create(&op_cases[n % op_case_count], CASE_FLOAT,
                                                  n % 2 ? CASE_EVEN : CASE_ALL_EXPONENTS, n + 1);
            _mm_setcsr(_mm_getcsr() & ~(uint32_t)STICKY_FLAGS);
            case_run_call(&run, kernels.table, one);
            unsigned flags = _mm_getcsr() & (DENORMAL_FLAG | UNDERFLOW_FLAG);
            if (flags) {
                char text[256];
                case_describe(run.of, text);
                fail_msg("%s (%s, values %u): flags %02x", text, kernels.name, n % 2, flags);
            }
            case_run_release(&run);
        }
    cpu_threads_destroy(one);
}

static void flushing_subnormal_numbers_changes_nothing(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *one = NULL;
    assert_ok(cpu_threads_create(&one, 1, &trace), &trace);
    for (uint32_t n = 0; n < op_case_count; n++) {
        struct case_run plain = plain_run(n, CASE_ALL_EXPONENTS, one);
        struct case_run run = case_run_create(plain.of, CASE_FLOAT, CASE_ALL_EXPONENTS, n + 1);
        unsigned before = _mm_getcsr();
        _mm_setcsr(before | 0x8040u); /* flush to zero, denormals are zero */
        case_run_call(&run, kernel_table_default, one);
        _mm_setcsr(before);
        assert_same(&plain, &run, "FTZ and DAZ");
        case_run_release(&run);
        case_run_release(&plain);
    }
    cpu_threads_destroy(one);
}
#endif

static void raises_a_fault_for_ids_out_of_range(void **state)
{
    (void)state;
    static const struct op_case cases[] = {
        {OP_embed, {0}, {{2, {7, 3}}, {1, {5}}}, {{2, {5, 3}}}},
        {OP_embed_grad, {.rows = 7}, {{1, {5}}, {2, {5, 3}}}, {{2, {7, 3}}}},
        {OP_ce_rows, {0}, {{2, {5, 7}}, {1, {5}}, {1, {5}}}, {{1, {5}}, {2, {5, 7}}}},
    };
    static const uint32_t which[] = {1, 0, 1};
    struct trace trace = {0};
    struct cpu_threads *one = NULL;
    assert_ok(cpu_threads_create(&one, 1, &trace), &trace);
    for (int n = 0; n < 6; n++) {
        struct case_run run = case_run_create(&cases[n % 3], CASE_FLOAT, CASE_EVEN, 1);
        ((int32_t *)run.call.inputs[which[n % 3]].data)[3] = n < 3 ? 7 : -1;
        run.call.threads = one;
        kernel_table_default[cases[n % 3].op](&run.call);
        assert_true(run.call.fault.raised);
        assert_int_equal(run.call.fault.position, 3);
        assert_int_equal(run.call.fault.found, n < 3 ? 7 : -1);
        assert_int_equal(run.call.fault.limit, 7);
        case_run_release(&run);
    }
    cpu_threads_destroy(one);
}

/* What ops.def says of them, on every instruction set; executors rely on it (ir/finite.h). */
static void what_is_not_finite_shows(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *one = NULL;
    assert_ok(cpu_threads_create(&one, 1, &trace), &trace);
    for (uint32_t n = 0; n < NUMERICS_DEVICE * CPU_ISA_COUNT * op_case_count; n++) {
        const struct op_case *c = &op_cases[n % op_case_count];
        enum cpu_isa isa = n / op_case_count % CPU_ISA_COUNT;
        enum numerics numerics = n / op_case_count / CPU_ISA_COUNT;
        struct isa_kernels kernels;
        if (!cpu_isa_is_available(isa, numerics) || !(op_table[c->op].flags & OP_SHOWS))
            continue;
        assert_ok(isa_find_kernels(&kernels, isa, numerics, &trace), &trace);
        for (uint32_t way = 0;; way++) {
            char text[256];
            struct case_run run = case_run_create(c, CASE_FLOAT, CASE_EVEN, n + 1);
            bool is_way = case_spoil(&run, way);
            case_run_call(&run, kernels.table, one);
            case_describe(c, text);
            if (is_way && !case_shows(&run))
                fail_msg("%s (%s): way %u is not seen", text, kernels.name, way);
            case_run_release(&run);
            if (!is_way)
                break;
        }
    }
    cpu_threads_destroy(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_a_case),
        cmocka_unit_test(what_is_not_finite_shows),
        cmocka_unit_test(golden_kernels_compute_their_formulas),
        cmocka_unit_test(double_kernels_compute_their_formulas),
        cmocka_unit_test(results_are_canonical),
        cmocka_unit_test(bytes_depend_on_neither_instruction_set_nor_threads),
#if defined __x86_64__
        cmocka_unit_test(no_kernel_meets_a_subnormal_number),
        cmocka_unit_test(flushing_subnormal_numbers_changes_nothing),
#endif
        cmocka_unit_test(raises_a_fault_for_ids_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
