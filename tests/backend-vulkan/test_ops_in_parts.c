/* Ops whose operands are cut, since a device binds or allocates less than they take. */
#include "tests/backend-vulkan/op_checks.h"

static bool has_large_operand(const struct op_case *c)
{
    for (uint32_t i = 0; i < op_table[c->op].inputs; i++)
        if (case_count(c->in[i]) * 4 > OP_CHECKS_LARGE)
            return true;
    for (uint32_t i = 0; i < op_table[c->op].results; i++)
        if (case_count(c->out[i]) * 4 > OP_CHECKS_LARGE)
            return true;
    return false;
}

/* But views, which launch nothing, and clip, whose operands have fixed sizes. */
static void every_op_has_a_case_larger_than_a_binding(void **state)
{
    (void)state;
    for (enum op op = 0; op < OP_COUNT; op++) {
        bool found = op_table[op].flags & OP_VIEW || op == OP_clip;
        for (uint32_t i = 0; i < op_checks_large_count; i++)
            found =
                found || (op_checks_large_cases[i].op == op && has_large_operand(&op_checks_large_cases[i]));
        if (!found)
            fail_msg("%s has no case with a large operand", op_table[op].name);
    }
}

/* Bindings of 64 KiB into larger buffers: chunks and panels. */
static void every_op_equals_the_twin_in_small_bindings(void **state)
{
    (void)state;
    op_checks_run_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_binding_bytes = OP_CHECKS_LARGE});
}

/* Tensors in many buffers, and windows across their ends. */
static void every_op_equals_the_twin_in_small_buffers(void **state)
{
    (void)state;
    op_checks_run_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = OP_CHECKS_LARGE});
}

static void every_op_equals_the_twin_with_tiled_products_in_small_buffers(void **state)
{
    (void)state;
    op_checks_run_all(FIXTURE_LAVAPIPE,
                      (struct vulkan_options){.max_buffer_bytes = OP_CHECKS_LARGE, .variant = "tile_128x64"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_a_case_larger_than_a_binding),
        cmocka_unit_test(every_op_equals_the_twin_in_small_bindings),
        cmocka_unit_test(every_op_equals_the_twin_in_small_buffers),
        cmocka_unit_test(every_op_equals_the_twin_with_tiled_products_in_small_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
