/* Every variant of matrix products against the C twin, byte for byte. */
#include "backend-cpu/cpu.h"
#include "backend-vulkan/tuning.h"
#include "tests/backend-vulkan/op_checks.h"

/* What lies well for the kernels that read four at a time, and what does not, over the edges of all tiles and
 * of the blocks of a sum. */
// clang-format off
static const struct op_case product_cases[] = {
    {OP_matmul_nn, {0}, {S2(133, 1032), S2(1032, 132)}, {S2(133, 132)}},
    {OP_matmul_nt, {0}, {S2(133, 1032), S2(131, 1032)}, {S2(133, 131)}},
    {OP_matmul_tn, {0}, {S2(1031, 132), S2(1031, 36)}, {S2(132, 36)}},
    {OP_matmul_nn, {0}, {S2(33, 34), S2(34, 35)}, {S2(33, 35)}},
    {OP_matmul_nt, {0}, {S2(30, 514), S2(70, 514)}, {S2(30, 70)}},
    {OP_matmul_tn, {0}, {S2(515, 31), S2(515, 129)}, {S2(31, 129)}},
    {OP_matmul_nt, {0}, {S2(1, 8), S2(4, 8)}, {S2(1, 4)}},
    {OP_matmul_tn, {0}, {S2(1, 1), S2(1, 1)}, {S2(1, 1)}},
    {OP_matmul_nn, {0}, {S2(7, 4), S2(4, 8)}, {S2(7, 8)}},
};
// clang-format on

static void check_variants(enum fixture_driver driver, struct vulkan_options options)
{
    struct trace trace = {0};
    struct executor *cpu = NULL;
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        if (variant_table[v].arithmetic != ARITHMETIC_f32) /* tests/backend-vulkan/test_arithmetic.c */
            continue;
        options.variant = variant_table[v].name;
        struct executor *vulkan = fixture_open(driver, options);
        op_checks_run(vulkan, cpu, product_cases, sizeof product_cases / sizeof *product_cases);
        fixture_close(vulkan);
    }
    executor_destroy(cpu);
}

static void every_variant_of_products_equals_the_twin_on_lavapipe(void **state)
{
    (void)state;
    check_variants(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
}

static void every_variant_of_products_equals_the_twin_in_small_bindings(void **state)
{
    (void)state;
    check_variants(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_binding_bytes = OP_CHECKS_LARGE});
}

static void every_variant_of_products_equals_the_twin_on_swiftshader(void **state)
{
    (void)state;
    check_variants(FIXTURE_SWIFTSHADER, (struct vulkan_options){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variant_of_products_equals_the_twin_on_lavapipe),
        cmocka_unit_test(every_variant_of_products_equals_the_twin_in_small_bindings),
        cmocka_unit_test(every_variant_of_products_equals_the_twin_on_swiftshader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
