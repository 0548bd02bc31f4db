/* Every op on a second driver, which compiles kernels in another way. */
#include "tests/backend-vulkan/op_checks.h"

static void every_op_equals_the_twin_on_swiftshader(void **state)
{
    (void)state;
    op_checks_run_all(FIXTURE_SWIFTSHADER, (struct vulkan_options){0});
}

static void large_operands_in_small_buffers_equal_the_twin_on_swiftshader(void **state)
{
    (void)state;
    op_checks_run_large(FIXTURE_SWIFTSHADER, (struct vulkan_options){.max_buffer_bytes = OP_CHECKS_LARGE});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_equals_the_twin_on_swiftshader),
        cmocka_unit_test(large_operands_in_small_buffers_equal_the_twin_on_swiftshader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
