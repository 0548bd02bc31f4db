/* All ops under device numerics. Products, and attention where there are matrices, are close to the twin; all
 * else keeps the golden bytes. A driver without cooperative matrices tries packed_f16 only. */
#include "backend-cpu/cpu.h"
#include "tests/backend-vulkan/fixture.h"
#include "tests/backend-vulkan/one_op.h"
#include <inttypes.h>
#include <math.h>

/* Heads wider than what attention with matrices multiplies at once, and stores at once; sequences beside its
 * tiles. */
// clang-format off
#define ATTENTIONS(b, s, g, r, h, e, mask, keys, cap)                                                                  \
    {OP_attention, {.heads = (g) * (r), .kv_heads = g, .scale = 0.2f, .causal = mask, .window = keys, .softcap = cap}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))},                                            \
     {S3(b, s, (g) * (r) * (e)), S4(b, s, (g) * (r), 2)}},                                                             \
    {OP_attention_grad, {.heads = (g) * (r), .kv_heads = g, .scale = 0.2f, .causal = mask, .window = keys, .softcap = cap}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e)), S3(b, s, (g) * (r) * (e)),                  \
      S4(b, s, (g) * (r), 2), S3(b, s, (g) * (r))},                                                                    \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))}}
static const struct op_case wide_cases[] = {
    ATTENTIONS(1, 32, 1, 1, 32, 32, 1, 0, 0),
    ATTENTIONS(1, 33, 1, 1, 64, 64, 0, 0, 0),
    ATTENTIONS(2, 97, 2, 2, 80, 144, 1, 0, 0),
    ATTENTIONS(1, 150, 1, 3, 130, 72, 1, 40, 20),
    ATTENTIONS(1, 63, 2, 1, 33, 129, 0, 0, 5),
};
// clang-format on

static bool is_by_products(enum op op)
{
    return op == OP_matmul_nn || op == OP_matmul_nt || op == OP_matmul_tn;
}

static bool is_attention(enum op op)
{
    return op == OP_attention || op == OP_attention_grad || op == OP_sloped_attention ||
           op == OP_sloped_attention_grad;
}

/* How far results are apart, as a share of the largest element. */
static double distance(const struct kernel_operand *a, const struct kernel_operand *b)
{
    const float *x = a->data, *y = b->data;
    double far = 0, largest = 0;
    for (int64_t i = 0; i < a->count; i++) {
        double d = fabs((double)x[i] - (double)y[i]), size = fabs((double)y[i]);
        far = d <= far ? far : d; /* a NaN is far */
        largest = size > largest ? size : largest;
    }
    return largest > 0 ? far / largest : far;
}

/* Rounding operands to 11 bits moves a result by some thousandths of its largest element. */
static void check_device_case(struct executor *device, struct executor *cpu, const struct op_case *c,
                              bool is_exact, uint32_t seed)
{
    char text[256];
    struct one_op one = one_op_create(c);
    struct case_run got = case_run_create(c, CASE_FLOAT, CASE_EVEN, seed);
    struct case_run expected = case_run_create(c, CASE_FLOAT, CASE_EVEN, seed);
    one_op_run(cpu, &one, &expected);
    one_op_run(device, &one, &got);
    case_describe(c, text);
    if (is_exact)
        one_op_compare(&got, &expected);
    for (uint32_t r = 0; r < got.call.result_count && !is_exact; r++) {
        double far = distance(&got.call.results[r], &expected.call.results[r]);
        if (!(far < 5e-3))
            fail_msg("%s: result %" PRIu32 " is off by %g of its largest element", text, r, far);
    }
    case_run_release(&got);
    case_run_release(&expected);
    graph_destroy(one.graph);
}

/* All but products and, with matrices, attention keep the golden bytes. */
static void check_device_numerics(const char *arithmetic, uint64_t max_binding_bytes)
{
    struct trace trace = {0};
    struct executor *cpu = NULL, *device = NULL;
    struct vulkan_options options = {
        .numerics = NUMERICS_DEVICE, .arithmetic = arithmetic, .max_binding_bytes = max_binding_bytes};
    bool has_matrices = strncmp(arithmetic, "matrix", 6) == 0;
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    if (has_matrices && vulkan_executor_create(&device, &options, &trace) != OK) {
        assert_non_null(strstr(trace.text, "no matrices for the arithmetic"));
        print_message("no %s\n", arithmetic);
        skip();
    }
    executor_destroy(device);
    device = fixture_open(FIXTURE_LAVAPIPE, options);
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    const struct {
        const struct op_case *cases;
        uint32_t count;
    } lists[] = {{op_cases, op_case_count}, {wide_cases, sizeof wide_cases / sizeof *wide_cases}};
    for (uint32_t l = 0; l < 2; l++)
        for (uint32_t i = 0; i < lists[l].count; i++) {
            const struct op_case *c = &lists[l].cases[i];
            bool is_close = is_by_products(c->op) || (has_matrices && is_attention(c->op));
            check_device_case(device, cpu, c, !is_close, 77 * l + i + 1);
        }
    executor_destroy(cpu);
    fixture_close(device);
}

static void device_numerics_with_packed_halves_are_close_to_the_twin(void **state)
{
    (void)state;
    check_device_numerics("packed_f16", 0);
}

static void device_numerics_with_half_matrices_are_close_to_the_twin(void **state)
{
    (void)state;
    check_device_numerics("matrix_f16", 0);
}

static void device_numerics_are_close_to_the_twin_in_small_bindings(void **state)
{
    (void)state;
    check_device_numerics("matrix_f16", 1 << 18);
}

static void device_numerics_with_bfloat16_are_close_to_the_twin(void **state)
{
    (void)state;
    check_device_numerics("matrix_bf16", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_numerics_with_packed_halves_are_close_to_the_twin),
        cmocka_unit_test(device_numerics_with_half_matrices_are_close_to_the_twin),
        cmocka_unit_test(device_numerics_are_close_to_the_twin_in_small_bindings),
        cmocka_unit_test(device_numerics_with_bfloat16_are_close_to_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
