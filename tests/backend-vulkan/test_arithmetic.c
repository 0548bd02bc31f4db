/* Products under the device numerics: every variant of every arithmetic that the driver has, against double
 * precision, and against the first of its arithmetic byte by byte; and with a bias and another operand added.
 * Which are tried is printed: a driver without cooperative matrices has packed_f16 and f32 only
 * (docs/vulkan.md says how to run this on one that has them). */
#include "backend-vulkan/tuning.h"
#include "ir/build.h"
#include "shaders/scalar/bits.h"
#include "tests/backend-vulkan/fixture.h"
#include <math.h>

struct product {
    int64_t rows, columns, depth;
};

/* Sizes below, at and beside those of matrices and tiles; odd depths, as terms are staged in pairs. */
static const struct product products[] = {
    {1, 1, 1},       {1, 4, 8},      {7, 8, 4},    {64, 64, 64}, {33, 35, 34},
    {133, 131, 517}, {31, 129, 515}, {5, 1, 1000}, {200, 3, 17},
};
static const enum op forms[] = {OP_matmul_nn, OP_matmul_nt, OP_matmul_tn};

/* Sizes over some powers of two; one in sixteen is zero. */
static float made_up(uint32_t i)
{
    uint32_t u = (i + 1) * 2654435761u;
    u = (u ^ u >> 15) * 2246822519u;
    u ^= u >> 13;
    float x = (float)(int32_t)u * 0x1p-31f;
    return (u & 15) == 0 ? 0 : ldexpf(x, (int)(u >> 4 & 7) - 4);
}

static void transpose(float *out, const float *in, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[j * rows + i] = in[i * columns + j];
}

/* What is added to a product: a bias [columns], then more [rows, columns], over which the sum is stored. */
struct added {
    const float *bias, *more;
};

/* y by the executor, whatever way the op has its operands lie; `added` may be NULL. */
static float *multiply(struct executor *executor, enum op op, struct product p, const float *x,
                       const float *w, const struct added *added)
{
    struct trace trace = {0};
    struct graph *graph = graph_create();
    float *turned_x = malloc((size_t)(p.rows * p.depth) * sizeof *turned_x),
          *turned_w = malloc((size_t)(p.columns * p.depth) * sizeof *turned_w);
    if (op == OP_matmul_tn) {
        transpose(turned_x, x, p.rows, p.depth);
        x = turned_x;
    }
    if (op == OP_matmul_nt) {
        transpose(turned_w, w, p.depth, p.columns);
        w = turned_w;
    }
    uint32_t depth = dims_leaf(&graph->dims, p.depth), rows = dims_leaf(&graph->dims, p.rows),
             columns = dims_leaf(&graph->dims, p.columns);
    uint32_t axes_x[2] = {op == OP_matmul_tn ? depth : rows, op == OP_matmul_tn ? rows : depth};
    uint32_t axes_w[2] = {op == OP_matmul_nt ? columns : depth, op == OP_matmul_nt ? depth : columns};
    uint32_t inputs[2] = {build_input(graph, "x", DTYPE_F32, 2, axes_x),
                          build_input(graph, "w", DTYPE_F32, 2, axes_w)};
    uint32_t axes_y[2] = {rows, columns}, bias = build_input(graph, "bias", DTYPE_F32, 1, &columns),
             more = build_input(graph, "more", DTYPE_F32, 2, axes_y);
    uint32_t y = build_op(graph, op, inputs, &(struct build_attributes){0});
    if (added)
        y = build_binary(graph, OP_add, more, build_binary(graph, OP_add, y, bias));
    build_output(graph, "y", y);
    struct binding bindings[5] = {
        {.value = inputs[0]}, {.value = inputs[1]}, {.value = y}, {.value = bias}, {.value = more}};
    const int64_t counts[5] = {p.rows * p.depth, p.columns * p.depth, p.rows * p.columns, p.columns,
                               p.rows * p.columns};
    for (int i = 0; i < 5; i++)
        assert_ok(executor_tensor_create(executor, DTYPE_F32, counts[i], &bindings[i].tensor, &trace),
                  &trace);
    assert_ok(executor_tensor_write(executor, bindings[0].tensor, 0, counts[0], x, &trace), &trace);
    assert_ok(executor_tensor_write(executor, bindings[1].tensor, 0, counts[1], w, &trace), &trace);
    if (added) {
        executor_tensor_destroy(executor, bindings[2].tensor);
        bindings[2].tensor = bindings[4].tensor;
        assert_ok(executor_tensor_write(executor, bindings[3].tensor, 0, counts[3], added->bias, &trace),
                  &trace);
        assert_ok(executor_tensor_write(executor, bindings[4].tensor, 0, counts[4], added->more, &trace),
                  &trace);
    }
    struct program *program;
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 5};
    assert_ok(executor_compile(&program, executor, &spec, &trace), &trace);
    assert_ok(executor_run(executor, program, &trace), &trace);
    float *got = malloc((size_t)counts[2] * sizeof *got);
    assert_ok(executor_tensor_read(executor, bindings[2].tensor, 0, counts[2], got, &trace), &trace);
    executor_program_destroy(executor, program);
    for (int i = 0; i < 5 - !!added; i++)
        executor_tensor_destroy(executor, bindings[i].tensor);
    graph_destroy(graph);
    free(turned_x);
    free(turned_w);
    return got;
}

/* Every output within what rounding its operands and adding them allows. */
static void compare_with_double(const float *got, struct product p, const float *x, const float *w,
                                const struct arithmetic_info *info)
{
    for (int64_t m = 0; m < p.rows; m++)
        for (int64_t n = 0; n < p.columns; n++) {
            double sum = 0, room = 0;
            for (int64_t k = 0; k < p.depth; k++) {
                double u = (double)x[m * p.depth + k], v = (double)w[k * p.columns + n];
                sum += u * v;
                room += fabs(u * v) * (info->error + (double)p.depth * 0x1p-22) +
                        info->least * (fabs(u) + fabs(v));
            }
            double y = (double)got[m * p.columns + n];
            if (!(fabs(y - sum) <= room + 0x1p-51))
                fail_msg("%lldx%lldx%lld, [%lld, %lld]: %.9g instead of %.9g, %.3g off where %.3g is allowed",
                         (long long)p.rows, (long long)p.columns, (long long)p.depth, (long long)m,
                         (long long)n, y, sum, fabs(y - sum), room);
        }
}

/* One launch adds what two more would. */
static void check_tail(struct executor *executor, enum op op, struct product p, const float *x,
                       const float *w, const float *plain)
{
    size_t count = (size_t)(p.rows * p.columns);
    float *bias = malloc((size_t)p.columns * sizeof *bias), *more = malloc(count * sizeof *more);
    for (int64_t n = 0; n < p.columns; n++)
        bias[n] = made_up((uint32_t)n + 77u);
    for (size_t i = 0; i < count; i++)
        more[i] = made_up((uint32_t)i + 7777u);
    uint64_t before = executor_counters(executor).dispatches;
    float *again = multiply(executor, op, p, x, w, NULL);
    uint64_t between = executor_counters(executor).dispatches;
    float *got = multiply(executor, op, p, x, w, &(struct added){bias, more});
    assert_int_equal(executor_counters(executor).dispatches - between, between - before);
    assert_memory_equal(again, plain, count * sizeof *again);
    for (size_t i = 0; i < count; i++) {
        float sum = gm_flush(gm_flush(plain[i] + bias[i % (size_t)p.columns]) + more[i]);
        assert_memory_equal(&sum, &got[i], sizeof sum);
    }
    free(bias);
    free(more);
    free(again);
    free(got);
}

/* All products and forms, one after the other. */
static float *check_variant(enum variant v, struct executor *executor, size_t *count)
{
    float *all = NULL;
    *count = 0;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        struct product p = products[i];
        size_t of_x = (size_t)(p.rows * p.depth), of_w = (size_t)(p.columns * p.depth),
               of_y = (size_t)(p.rows * p.columns);
        float *x = malloc(of_x * sizeof *x), *w = malloc(of_w * sizeof *w);
        for (size_t j = 0; j < of_x; j++)
            x[j] = made_up((uint32_t)j);
        for (size_t j = 0; j < of_w; j++)
            w[j] = made_up((uint32_t)j + 1000003u);
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            float *got = multiply(executor, forms[f], p, x, w, NULL);
            check_tail(executor, forms[f], p, x, w, got);
            compare_with_double(got, p, x, w, &arithmetic_table[variant_table[v].arithmetic]);
            all = realloc(all, (*count + of_y) * sizeof *all);
            memcpy(all + *count, got, of_y * sizeof *all);
            *count += of_y;
            free(got);
        }
        free(x);
        free(w);
    }
    return all;
}

/* NULL where the driver lacks what the variant needs. */
static struct executor *open_variant(enum fixture_driver driver, enum variant v,
                                     struct vulkan_options options)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    fixture_choose_driver(driver);
    options.numerics = NUMERICS_DEVICE;
    options.variant = variant_table[v].name;
    enum status status = vulkan_executor_create(&executor, &options, &trace);
    if (status == OK) {
        executor_destroy(executor);
        return fixture_open(driver, options);
    }
    assert_int_equal(status, DEVICE);
    assert_non_null(strstr(trace.text, "this device cannot run the kernel variant"));
    assert_int_not_equal(variant_table[v].arithmetic, ARITHMETIC_packed_f16);
    return NULL;
}

static void check_arithmetic(enum fixture_driver driver, enum arithmetic arithmetic,
                             struct vulkan_options options)
{
    float *first = NULL;
    size_t expected = 0, tried = 0;
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        if (variant_table[v].arithmetic != arithmetic)
            continue;
        struct executor *executor = open_variant(driver, v, options);
        if (!executor)
            continue;
        size_t count;
        assert_int_equal(executor->operands, arithmetic_table[arithmetic].operands);
        float *all = check_variant(v, executor, &count);
        if (first) {
            assert_int_equal(count, expected);
            assert_memory_equal(all, first, count * sizeof *all);
            free(all);
        } else {
            first = all;
            expected = count;
        }
        tried++;
        fixture_close(executor);
    }
    free(first);
    print_message("%zu variants of %s\n", tried, arithmetic_table[arithmetic].name);
    if (tried == 0)
        skip();
}

static void f32_products_are_close(void **state)
{
    (void)state;
    check_arithmetic(FIXTURE_LAVAPIPE, ARITHMETIC_f32, (struct vulkan_options){0});
}

static void f32_products_are_close_in_small_bindings(void **state)
{
    (void)state;
    check_arithmetic(FIXTURE_LAVAPIPE, ARITHMETIC_f32, (struct vulkan_options){.max_binding_bytes = 1 << 16});
}

static void packed_products_are_close_on_lavapipe(void **state)
{
    (void)state;
    check_arithmetic(FIXTURE_LAVAPIPE, ARITHMETIC_packed_f16, (struct vulkan_options){0});
}

static void packed_products_are_close_on_swiftshader(void **state)
{
    (void)state;
    check_arithmetic(FIXTURE_SWIFTSHADER, ARITHMETIC_packed_f16, (struct vulkan_options){0});
}

static void half_matrices_are_close(void **state)
{
    (void)state;
    check_arithmetic(FIXTURE_LAVAPIPE, ARITHMETIC_matrix_f16, (struct vulkan_options){0});
}

static void half_matrices_are_close_in_small_bindings(void **state)
{
    (void)state;
    check_arithmetic(FIXTURE_LAVAPIPE, ARITHMETIC_matrix_f16,
                     (struct vulkan_options){.max_binding_bytes = 1 << 16});
}

static void bfloat16_matrices_are_close(void **state)
{
    (void)state;
    check_arithmetic(FIXTURE_LAVAPIPE, ARITHMETIC_matrix_bf16, (struct vulkan_options){0});
}

/* Golden numerics never round to 16 bits, whatever is asked for. */
static void golden_numerics_refuse_other_arithmetics(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *executor = NULL;
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    struct vulkan_options options = {.arithmetic = "packed_f16"};
    assert_fails(vulkan_executor_create(&executor, &options, &trace), INVALID, &trace,
                 "products by packed_f16 are for the device numerics, found golden");
    options = (struct vulkan_options){.variant = "packed_64x64"};
    assert_fails(vulkan_executor_create(&executor, &options, &trace), INVALID, &trace,
                 "products by packed_f16 are for the device numerics, found golden");
    options = (struct vulkan_options){.arithmetic = "f8", .numerics = NUMERICS_DEVICE};
    assert_fails(vulkan_executor_create(&executor, &options, &trace), INVALID, &trace,
                 "no arithmetic \"f8\"");
    struct executor *golden = fixture_open(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
    assert_int_equal(golden->operands, OPERANDS_F32);
    fixture_close(golden);
}

/* Made-up devices: what each multiplies by, and what after that is found wrong. */
static void the_best_that_a_device_has_is_chosen(void **state)
{
    (void)state;
    struct device all = {.matrices = {{16, 16, 16}, {16, 8, 16}, 32, true, false, false}};
    assert_int_equal(arithmetic_choose(&all, ARITHMETIC_COUNT), ARITHMETIC_matrix_bf16);
    assert_int_equal(arithmetic_choose(&all, ARITHMETIC_matrix_bf16), ARITHMETIC_matrix_f16);
    assert_int_equal(arithmetic_choose(&all, ARITHMETIC_matrix_f16), ARITHMETIC_packed_f16);
    assert_int_equal(arithmetic_choose(&all, ARITHMETIC_packed_f16), ARITHMETIC_f32);
    struct device half = {.matrices = {.subgroup = 64, .has_half = true}};
    assert_int_equal(arithmetic_choose(&half, ARITHMETIC_COUNT), ARITHMETIC_packed_f16);
    struct device processor = {.matrices = {.subgroup = 8, .has_half = true}, .is_software = true};
    assert_int_equal(arithmetic_choose(&processor, ARITHMETIC_COUNT), ARITHMETIC_f32);
    struct device none = {.matrices = {.subgroup = 32}};
    assert_int_equal(arithmetic_choose(&none, ARITHMETIC_COUNT), ARITHMETIC_f32);
    struct device broad = {.matrices = {.f16 = {16, 16, 16}, .subgroup = 512}}; /* no group of ours fits */
    assert_int_equal(arithmetic_choose(&broad, ARITHMETIC_COUNT), ARITHMETIC_f32);
    struct device wide = {.matrices = {.f16 = {16, 16, 16}, .subgroup = 128}};
    assert_true(variant_is_possible(VARIANT_matrix_f16_2x2, &wide.matrices));
    assert_false(variant_is_possible(VARIANT_matrix_f16_8x8, &wide.matrices));
    struct device deep = {.matrices = {.f16 = {16, 16, 32}, .subgroup = 32}}; /* 41 KiB would be staged */
    assert_true(variant_is_possible(VARIANT_matrix_f16_4x4, &deep.matrices));
    assert_false(variant_is_possible(VARIANT_matrix_f16_8x8, &deep.matrices));
    deep.matrices.f16.depth = 16;
    assert_true(variant_is_possible(VARIANT_matrix_f16_8x8, &deep.matrices));
    struct variant_tile tile = variant_tile(VARIANT_matrix_bf16_8x8, &all.matrices);
    assert_int_equal(tile.rows, 128);
    assert_int_equal(tile.columns, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_products_are_close),
        cmocka_unit_test(f32_products_are_close_in_small_bindings),
        cmocka_unit_test(packed_products_are_close_on_lavapipe),
        cmocka_unit_test(packed_products_are_close_on_swiftshader),
        cmocka_unit_test(half_matrices_are_close),
        cmocka_unit_test(half_matrices_are_close_in_small_bindings),
        cmocka_unit_test(bfloat16_matrices_are_close),
        cmocka_unit_test(golden_numerics_refuse_other_arithmetics),
        cmocka_unit_test(the_best_that_a_device_has_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
