/* Every op on a Vulkan device against the C twin, byte for byte, over the shapes of the twin's own tests and
 * some that are awkward for the kernels here. */
#include "backend-cpu/cpu.h"
#include "ir/build.h"
#include "tests/backend-vulkan/one_op.h"
#include "tests/backend-vulkan/op_checks.h"
#include <inttypes.h>

static void every_op_equals_the_twin_on_lavapipe(void **state)
{
    (void)state;
    op_checks_run_all(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
}

static void every_op_equals_the_twin_with_tiled_products(void **state)
{
    (void)state;
    op_checks_run_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.variant = "tile_128x64"});
}

static void every_op_equals_the_twin_in_buffers_of_a_mebibyte(void **state)
{
    (void)state;
    op_checks_run_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = 1 << 20});
}

/* As the twin's kernels do (tests/backend-cpu/test_kernels.c). */
static void what_is_not_finite_shows(void **state)
{
    (void)state;
    struct executor *vulkan = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
    for (uint32_t n = 0; n < op_case_count; n++) {
        const struct op_case *c = &op_cases[n];
        struct one_op one = one_op_create(c);
        for (uint32_t way = 0; op_table[c->op].flags & OP_SHOWS; way++) {
            char text[256];
            struct case_run run = case_run_create(c, CASE_FLOAT, CASE_EVEN, n + 1);
            bool is_way = case_spoil(&run, way);
            if (is_way)
                one_op_run(vulkan, &one, &run);
            case_describe(c, text);
            if (is_way && !case_shows(&run))
                fail_msg("%s: way %" PRIu32 " is not seen", text, way);
            case_run_release(&run);
            if (!is_way)
                break;
        }
        graph_destroy(one.graph);
    }
    fixture_close(vulkan);
}

/* What a training step is made of, and its ways through memory, in shapes that fill no tile. */
// clang-format off
static const struct op_case instrumented_cases[] = {
    {OP_embed, {0}, {S2(7, 3), S1(9)}, {S2(9, 3)}},
    {OP_embed_grad, {.rows = 3}, {S1(35), S2(35, 7)}, {S2(3, 7)}},
    {OP_rmsnorm, {.epsilon = 1e-5f}, {S2(5, 70), S1(70)}, {S2(5, 70), S1(5)}},
    {OP_rope, {0}, {S3(1, 5, 12), S3(5, 2, 3)}, {S3(1, 5, 12)}},
    {OP_attention, {.heads = 2, .kv_heads = 1, .scale = 0.25f, .causal = 1},
     {S3(1, 9, 10), S3(1, 9, 5), S3(1, 9, 6)}, {S3(1, 9, 12), S4(1, 9, 2, 2)}},
    {OP_attention_grad, {.heads = 2, .kv_heads = 1, .scale = 0.25f, .causal = 1},
     {S3(1, 9, 10), S3(1, 9, 5), S3(1, 9, 6), S3(1, 9, 12), S4(1, 9, 2, 2), S3(1, 9, 2)},
     {S3(1, 9, 10), S3(1, 9, 5), S3(1, 9, 6)}},
    {OP_silu, {0}, {S2(5, 71)}, {S2(5, 71)}},
    {OP_matmul_nn, {0}, {S2(33, 34), S2(34, 35)}, {S2(33, 35)}},
    {OP_ce_rows, {0}, {S2(3, 67), S1(3), S1(3)}, {S1(3), S2(3, 67)}},
    {OP_kl_rows, {0}, {S2(3, 67), S2(3, 67), S1(3)}, {S1(3), S2(3, 67)}},
    {OP_adamw, {.decay = 1}, {S1(301), S1(301), S1(301), S1(301), S1(16), S1(2)}, {S1(301), S1(301), S1(301)}},
};
// clang-format on

/* Kernels are instrumented: an access outside of a buffer would be told; so buffers are of 4 KiB here.
 * Drivers are slow to compile what the layer makes of kernels, those that unroll most of all, so these are
 * few and small; INSTRUMENT_ALL=1 in the environment does so in all tests. */
static void no_kernel_accesses_what_is_not_bound(void **state)
{
    (void)state;
    struct trace trace = {0};
    if (!fixture_has_validation())
        skip();
    struct executor *cpu = NULL;
    struct executor *vulkan =
        fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){.validation = VULKAN_VALIDATED_ON_DEVICE,
                                                               .selftest = VULKAN_SELFTEST_SKIPPED,
                                                               .max_buffer_bytes = 1 << 12,
                                                               .variant = "tile_32x32"});
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    op_checks_run(vulkan, cpu, instrumented_cases, sizeof instrumented_cases / sizeof *instrumented_cases);
    executor_destroy(cpu);
    fixture_close(vulkan);
}

/* Rows 3..7 of x and of the labels and weights, through a product and a loss, placed back into a larger
 * matrix: operands that begin in the middle of a tensor. */
static struct graph *views_graph(uint32_t values[7])
{
    struct graph *graph = graph_create();
    struct build_attributes window = {.start = 3, .rows = 5};
    uint32_t t = dims_leaf(&graph->dims, 11), d = dims_leaf(&graph->dims, 37),
             v = dims_leaf(&graph->dims, 33);
    uint32_t x_axes[] = {t, d}, w_axes[] = {v, d}, base_axes[] = {t, v};
    values[0] = build_input(graph, "x", DTYPE_F32, 2, x_axes);
    values[1] = build_input(graph, "w", DTYPE_F32, 2, w_axes);
    values[2] = build_input(graph, "labels", DTYPE_I32, 1, &t);
    values[3] = build_input(graph, "weights", DTYPE_F32, 1, &t);
    values[4] = build_input(graph, "base", DTYPE_F32, 2, base_axes);
    uint32_t rows = build_op(graph, OP_rows, &values[0], &window);
    uint32_t product[] = {rows, values[1]};
    uint32_t logits = build_op(graph, OP_matmul_nt, product, &window);
    uint32_t ce[] = {logits, build_op(graph, OP_items, &values[2], &window),
                     build_op(graph, OP_items, &values[3], &window)};
    values[5] = build_op(graph, OP_ce_rows, ce, &window);
    uint32_t place[] = {values[4], build_result(graph, values[5], 1)};
    values[6] = build_op(graph, OP_place_rows, place, &window);
    build_output(graph, "loss", values[5]);
    build_output(graph, "placed", values[6]);
    return graph;
}

static void run_views(struct executor *executor, float loss[5], float placed[11 * 33])
{
    struct trace trace = {0};
    uint32_t values[7];
    struct binding bindings[7];
    static const int64_t counts[7] = {11 * 37, 33 * 37, 11, 11, 11 * 33, 5, 11 * 33};
    struct graph *graph = views_graph(values);
    for (uint32_t i = 0; i < 7; i++) {
        float data[33 * 37];
        int32_t labels[11];
        bindings[i].value = values[i];
        enum dtype dtype = i == 2 ? DTYPE_I32 : DTYPE_F32;
        assert_ok(executor_tensor_create(executor, dtype, counts[i], &bindings[i].tensor, &trace), &trace);
        for (int64_t j = 0; j < counts[i]; j++)
            data[j] = (float)((j * 7919 + i * 31) % 201 - 100) / 64;
        for (int32_t j = 0; j < 11; j++)
            labels[j] = j * 3;
        if (i < 5)
            assert_ok(executor_tensor_write(executor, bindings[i].tensor, 0, counts[i],
                                            i == 2 ? (void *)labels : data, &trace),
                      &trace);
    }
    bindings[6].tensor = bindings[4].tensor; /* in place: only the part is written */
    struct program *program;
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 7};
    assert_ok(executor_compile(&program, executor, &spec, &trace), &trace);
    assert_ok(executor_run(executor, program, &trace), &trace);
    assert_ok(executor_tensor_read(executor, bindings[5].tensor, 0, 5, loss, &trace), &trace);
    assert_ok(executor_tensor_read(executor, bindings[6].tensor, 0, 11 * 33, placed, &trace), &trace);
    executor_program_destroy(executor, program);
    graph_destroy(graph);
}

static void check_views(enum fixture_driver driver)
{
    struct trace trace = {0};
    struct executor *cpu, *vulkan = fixture_open(driver, (struct vulkan_options){0});
    float loss[2][5], placed[2][11 * 33];
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    run_views(cpu, loss[0], placed[0]);
    run_views(vulkan, loss[1], placed[1]);
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    assert_memory_equal(placed[0], placed[1], sizeof placed[0]);
    executor_destroy(cpu);
    fixture_close(vulkan);
}

static void views_equal_the_twin_on_lavapipe(void **state)
{
    (void)state;
    check_views(FIXTURE_LAVAPIPE);
}

static void views_equal_the_twin_on_swiftshader(void **state)
{
    (void)state;
    check_views(FIXTURE_SWIFTSHADER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_equals_the_twin_on_lavapipe),
        cmocka_unit_test(every_op_equals_the_twin_with_tiled_products),
        cmocka_unit_test(every_op_equals_the_twin_in_buffers_of_a_mebibyte),
        cmocka_unit_test(what_is_not_finite_shows),
        cmocka_unit_test(no_kernel_accesses_what_is_not_bound),
        cmocka_unit_test(views_equal_the_twin_on_lavapipe),
        cmocka_unit_test(views_equal_the_twin_on_swiftshader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
