/* Every op on a Vulkan device against the C twin, byte for byte, over the shapes of the twin's own tests and
 * some that are awkward for the kernels here. */
#include "backend-cpu/cpu.h"
#include "backend-vulkan/tuning.h"
#include "ir/build.h"
#include "tests/backend-cpu/cases.h"
#include "tests/backend-vulkan/fixture.h"
#include "tests/backend-vulkan/one_op.h"
#include <inttypes.h>

/* Edges of tiles, columns not divisible by four, heads wider than a group's columns. */
// clang-format off
static const struct op_case more_cases[] = {
    {OP_matmul_nt, {0}, {S2(16, 40), S2(128, 40)}, {S2(16, 128)}},
    {OP_matmul_nt, {0}, {S2(130, 31), S2(67, 31)}, {S2(130, 67)}},
    {OP_matmul_nn, {0}, {S2(129, 513), S2(513, 130)}, {S2(129, 130)}},
    {OP_matmul_nn, {0}, {S2(17, 8), S2(8, 300)}, {S2(17, 300)}},
    {OP_matmul_tn, {0}, {S2(1030, 47), S2(1030, 61)}, {S2(47, 61)}},
    {OP_matmul_tn, {0}, {S2(33, 256), S2(33, 64)}, {S2(256, 64)}},
    {OP_attention, {.heads = 2, .kv_heads = 1, .scale = 0.25f, .causal = 1},
     {S3(1, 9, 300), S3(1, 9, 150), S3(1, 9, 260)}, {S3(1, 9, 520), S4(1, 9, 2, 2)}},
    {OP_attention_grad, {.heads = 2, .kv_heads = 1, .scale = 0.25f, .causal = 1},
     {S3(1, 9, 300), S3(1, 9, 150), S3(1, 9, 260), S3(1, 9, 520), S4(1, 9, 2, 2), S3(1, 9, 2)},
     {S3(1, 9, 300), S3(1, 9, 150), S3(1, 9, 260)}},
    {OP_sloped_attention, {.heads = 2, .kv_heads = 1, .scale = 0.25f, .causal = 1},
     {S3(1, 9, 300), S3(1, 9, 150), S3(1, 9, 260), S1(2)}, {S3(1, 9, 520), S4(1, 9, 2, 2)}},
    {OP_embed_grad, {.rows = 3}, {S1(1600), S2(1600, 7)}, {S2(3, 7)}},
    {OP_add, {0}, {S2(2000, 1100), S2(2000, 1100)}, {S2(2000, 1100)}},
};
// clang-format on

/* Each op with operands larger than a binding of 64 KiB, in every way that its lowering tells apart. */
// clang-format off
static const struct op_case large_cases[] = {
    {OP_embed, {0}, {S2(700, 40), S1(601)}, {S2(601, 40)}},
    {OP_embed, {0}, {S2(500, 333), S2(2, 99)}, {S3(2, 99, 333)}},
    {OP_embed, {0}, {S2(7, 3), S1(20000)}, {S2(20000, 3)}},
    {OP_embed_grad, {.rows = 700}, {S1(300), S2(300, 40)}, {S2(700, 40)}},
    {OP_embed_grad, {.rows = 70}, {S1(1100), S2(1100, 37)}, {S2(70, 37)}},
    {OP_embed_grad, {.rows = 900}, {S1(1100), S2(1100, 37)}, {S2(900, 37)}},
    {OP_matmul_nt, {0}, {S2(150, 600), S2(130, 600)}, {S2(150, 130)}},
    {OP_matmul_nt, {0}, {S2(10, 1700), S2(35, 1700)}, {S2(10, 35)}},
    {OP_matmul_nt, {0}, {S2(300, 7), S2(3000, 7)}, {S2(300, 3000)}},
    {OP_matmul_nn, {0}, {S2(150, 600), S2(600, 130)}, {S2(150, 130)}},
    {OP_matmul_nn, {0}, {S2(20, 600), S2(600, 133)}, {S2(20, 133)}},
    {OP_matmul_nn, {0}, {S2(3, 2), S2(2, 17001)}, {S2(3, 17001)}},
    {OP_matmul_tn, {0}, {S2(1030, 40), S2(1030, 50)}, {S2(40, 50)}},
    {OP_matmul_tn, {0}, {S2(1030, 8), S2(1030, 130)}, {S2(8, 130)}},
    {OP_matmul_tn, {0}, {S2(60, 300), S2(60, 257)}, {S2(300, 257)}},
    {OP_rmsnorm, {.epsilon = 1e-5f}, {S2(50, 700), S1(700)}, {S2(50, 700), S1(50)}},
    {OP_rmsnorm_grad, {.epsilon = 1e-5f}, {S2(50, 700), S1(700), S1(50), S2(50, 700)}, {S2(50, 700)}},
    {OP_rmsnorm_weight_grad, {0}, {S2(1030, 37), S1(1030), S2(1030, 37)}, {S1(37)}},
    {OP_head_rmsnorm, {.epsilon = 1e-5f, .heads = 5}, {S3(2, 150, 65), S1(13)}, {S3(2, 150, 65), S3(2, 150, 5)}},
    {OP_head_rmsnorm_grad, {.heads = 5}, {S3(2, 150, 65), S1(13), S3(2, 150, 5), S3(2, 150, 65)}, {S3(2, 150, 65)}},
    {OP_head_rmsnorm_weight_grad, {.heads = 5}, {S3(2, 150, 65), S3(2, 150, 5), S3(2, 150, 65)}, {S1(13)}},
    {OP_layernorm, {.epsilon = 1e-5f}, {S2(50, 700), S1(700)}, {S2(50, 700), S1(50), S1(50)}},
    {OP_layernorm_grad, {0}, {S2(50, 700), S1(700), S1(50), S1(50), S2(50, 700)}, {S2(50, 700)}},
    {OP_layernorm_weight_grad, {0}, {S2(1030, 37), S1(1030), S1(1030), S2(1030, 37)}, {S1(37)}},
    {OP_add_positions, {.start = 3}, {S3(5, 70, 64), S2(80, 64)}, {S3(5, 70, 64)}},
    {OP_add_positions, {.start = 7}, {S3(3, 400, 60), S2(410, 60)}, {S3(3, 400, 60)}},
    {OP_add_positions_grad, {.start = 3, .rows = 80}, {S3(5, 70, 64)}, {S2(80, 64)}},
    {OP_add_positions_grad, {.start = 7, .rows = 710}, {S3(3, 400, 60)}, {S2(710, 60)}},
    {OP_rotary_table, {0}, {S2(1, 1500), S1(13)}, {S3(1500, 2, 13)}},
    {OP_rope, {0}, {S3(2, 800, 48), S3(800, 2, 12)}, {S3(2, 800, 48)}},
    {OP_rope_part, {.heads = 3}, {S3(2, 150, 111), S3(150, 2, 12)}, {S3(2, 150, 111)}},
    {OP_rope_part, {.heads = 2, .inverse = 1}, {S3(2, 800, 58), S3(800, 2, 12)}, {S3(2, 800, 58)}},
    {OP_rope, {0}, {S3(3, 60, 120), S3(60, 2, 12)}, {S3(3, 60, 120)}},
    {OP_rope, {.inverse = 1}, {S3(1, 150, 130), S3(150, 2, 13)}, {S3(1, 150, 130)}},
    {OP_attention, {.heads = 4, .kv_heads = 2, .scale = 0.25f, .causal = 1},
     {S3(3, 70, 128), S3(3, 70, 64), S3(3, 70, 96)}, {S3(3, 70, 192), S4(3, 70, 4, 2)}},
    {OP_attention, {.heads = 4, .kv_heads = 2, .scale = 0.25f, .causal = 1},
     {S3(2, 150, 120), S3(2, 150, 60), S3(2, 150, 40)}, {S3(2, 150, 80), S4(2, 150, 4, 2)}},
    {OP_attention_grad, {.heads = 4, .kv_heads = 2, .scale = 0.25f, .causal = 1},
     {S3(2, 150, 120), S3(2, 150, 60), S3(2, 150, 40), S3(2, 150, 80), S4(2, 150, 4, 2), S3(2, 150, 4)},
     {S3(2, 150, 120), S3(2, 150, 60), S3(2, 150, 40)}},
    {OP_attention_grad, {.heads = 4, .kv_heads = 2, .scale = 0.25f},
     {S3(3, 70, 128), S3(3, 70, 64), S3(3, 70, 96), S3(3, 70, 192), S4(3, 70, 4, 2), S3(3, 70, 4)},
     {S3(3, 70, 128), S3(3, 70, 64), S3(3, 70, 96)}},
    {OP_sloped_attention, {.heads = 4, .kv_heads = 2, .scale = 0.25f, .causal = 1},
     {S3(2, 150, 120), S3(2, 150, 60), S3(2, 150, 40), S1(4)}, {S3(2, 150, 80), S4(2, 150, 4, 2)}},
    {OP_sloped_attention_grad, {.heads = 4, .kv_heads = 2, .scale = 0.25f, .causal = 1},
     {S3(2, 150, 120), S3(2, 150, 60), S3(2, 150, 40), S3(2, 150, 80), S4(2, 150, 4, 2), S3(2, 150, 4), S1(4)},
     {S3(2, 150, 120), S3(2, 150, 60), S3(2, 150, 40)}},
    {OP_attention_log_sums, {0}, {S4(3, 1000, 4, 2)}, {S3(3, 1000, 4)}},
    {OP_attention_delta, {.heads = 5}, {S3(2, 150, 65), S3(2, 150, 65)}, {S3(2, 150, 5)}},
    {OP_silu, {0}, {S2(123, 457)}, {S2(123, 457)}},
    {OP_silu_grad, {0}, {S2(123, 457), S2(123, 457)}, {S2(123, 457)}},
    {OP_relu, {0}, {S2(123, 457)}, {S2(123, 457)}},
    {OP_relu_grad, {0}, {S2(123, 457), S2(123, 457)}, {S2(123, 457)}},
    {OP_gelu, {0}, {S2(123, 457)}, {S2(123, 457)}},
    {OP_gelu_grad, {0}, {S2(123, 457), S2(123, 457)}, {S2(123, 457)}},
    {OP_gelu_tanh, {0}, {S2(123, 457)}, {S2(123, 457)}},
    {OP_gelu_tanh_grad, {0}, {S2(123, 457), S2(123, 457)}, {S2(123, 457)}},
    {OP_tanh, {0}, {S2(123, 457)}, {S2(123, 457)}},
    {OP_tanh_grad, {0}, {S2(123, 457), S2(123, 457)}, {S2(123, 457)}},
    {OP_add, {0}, {S2(123, 457), S2(123, 457)}, {S2(123, 457)}},
    {OP_add, {0}, {S2(123, 457), S1(457)}, {S2(123, 457)}},
    {OP_mul, {0}, {S2(123, 457), S1(457)}, {S2(123, 457)}},
    {OP_add, {0}, {S2(3, 17000), S1(17000)}, {S2(3, 17000)}},
    {OP_mul, {0}, {S2(123, 457), S2(123, 457)}, {S2(123, 457)}},
    {OP_mul, {0}, {S2(3, 17000), S1(17000)}, {S2(3, 17000)}},
    {OP_scale, {.scale = 0.75f}, {S2(123, 457)}, {S2(123, 457)}},
    {OP_scale_ratio, {0}, {S2(123, 457), S1(1), S1(1)}, {S2(123, 457)}},
    {OP_spread, {.rows = 50}, {S3(3, 60, 7)}, {S4(3, 60, 7, 50)}},
    {OP_sequence_norm, {0}, {S3(7, 50, 130)}, {S2(7, 130)}},
    {OP_sequence_norm, {0}, {S3(2, 600, 31)}, {S2(2, 31)}},
    {OP_sequence_moments, {0}, {S3(7, 50, 130)}, {S2(7, 130), S2(7, 130)}},
    {OP_sequence_moments, {0}, {S3(2, 600, 31)}, {S2(2, 31), S2(2, 31)}},
    {OP_column_sum, {0}, {S2(1030, 61)}, {S1(61)}},
    {OP_column_squares, {0}, {S2(61, 1030)}, {S1(1030)}},
    {OP_mean_abs, {0}, {S3(7, 50, 130)}, {S2(7, 130)}},
    {OP_mean_abs, {0}, {S3(2, 600, 31)}, {S2(2, 31)}},
    {OP_place_rows, {.start = 33}, {S2(123, 457), S2(50, 457)}, {S2(123, 457)}},
    {OP_ce_rows, {0}, {S2(11, 3001), S1(11), S1(11)}, {S1(11), S2(11, 3001)}},
    {OP_kl_rows, {0}, {S2(11, 3001), S2(11, 3001), S1(11)}, {S1(11), S2(11, 3001)}},
    {OP_top_rows, {.top = 9}, {S2(11, 3001)}, {S2(11, 9), S2(11, 9), S1(11)}},
    {OP_kl_kept_rows, {0}, {S2(11, 3001), S2(11, 9), S2(11, 9), S1(11), S1(11)}, {S1(11), S2(11, 3001)}},
    {OP_kl_top_rows, {.top = 9}, {S2(11, 3001), S2(11, 3001), S1(11)}, {S1(11), S2(11, 3001)}},
    {OP_reverse_kl_rows, {0}, {S2(11, 3001), S2(11, 3001), S1(11)}, {S1(11), S2(11, 3001)}},
    {OP_js_rows, {0}, {S2(11, 3001), S2(11, 3001), S1(11)}, {S1(11), S2(11, 3001)}},
    {OP_mse_rows, {0}, {S2(50, 701), S2(50, 701), S1(50)}, {S1(50), S2(50, 701)}},
    {OP_cosine_loss_rows, {0}, {S2(50, 701), S2(50, 701), S1(50)}, {S1(50), S2(50, 701)}},
    {OP_cosine_rows, {0}, {S2(50, 701), S2(50, 701)}, {S1(50)}},
    {OP_dot, {0}, {S2(123, 457), S2(123, 457)}, {S1(1)}},
    {OP_block_squares, {0}, {S2(123, 457)}, {S1(14)}},
    {OP_sum, {0}, {S1(40001)}, {S1(1)}},
    {OP_adamw, {.decay = 1}, {S1(50001), S1(50001), S1(50001), S1(50001), S1(16), S1(2)}, {S1(50001), S1(50001), S1(50001)}},
    {OP_head_norms, {.heads = 5}, {S3(2, 150, 65)}, {S3(2, 150, 5)}},
};
// clang-format on

enum { LARGE = 1 << 16 }; /* bytes of a binding there */

static bool has_large_operand(const struct op_case *c)
{
    for (uint32_t i = 0; i < op_table[c->op].inputs; i++)
        if (case_count(c->in[i]) * 4 > LARGE)
            return true;
    for (uint32_t i = 0; i < op_table[c->op].results; i++)
        if (case_count(c->out[i]) * 4 > LARGE)
            return true;
    return false;
}

/* But views, which launch nothing, and clip, whose operands have fixed sizes. */
static void every_op_has_a_case_larger_than_a_binding(void **state)
{
    (void)state;
    for (enum op op = 0; op < OP_COUNT; op++) {
        bool found = op_table[op].flags & OP_VIEW || op == OP_clip;
        for (uint32_t i = 0; i < sizeof large_cases / sizeof *large_cases; i++)
            found = found || (large_cases[i].op == op && has_large_operand(&large_cases[i]));
        if (!found)
            fail_msg("%s has no case with a large operand", op_table[op].name);
    }
}

static void check_case(struct executor *vulkan, struct executor *cpu, const struct op_case *c,
                       enum case_values values, uint32_t seed)
{
    struct one_op one = one_op_create(c);
    struct case_run got = case_run_create(c, CASE_FLOAT, values, seed);
    struct case_run expected = case_run_create(c, CASE_FLOAT, values, seed);
    one_op_run(cpu, &one, &expected);
    one_op_run(vulkan, &one, &got);
    one_op_compare(&got, &expected);
    case_run_release(&got);
    case_run_release(&expected);
    graph_destroy(one.graph);
}

/* Cases with two kinds of values. */
static void check_cases(struct executor *vulkan, struct executor *cpu, const struct op_case *cases,
                        uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        check_case(vulkan, cpu, &cases[n], CASE_EVEN, n + 1);
        check_case(vulkan, cpu, &cases[n], CASE_ALL_EXPONENTS, n + 1000);
    }
}

static void check_all(enum fixture_driver driver, struct vulkan_options options)
{
    struct trace trace = {0};
    struct executor *cpu = NULL;
    struct executor *vulkan = fixture_open(driver, options);
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    check_cases(vulkan, cpu, op_cases, op_case_count);
    check_cases(vulkan, cpu, more_cases, sizeof more_cases / sizeof *more_cases);
    if (options.max_buffer_bytes || options.max_binding_bytes)
        check_cases(vulkan, cpu, large_cases, sizeof large_cases / sizeof *large_cases);
    struct executor_counters counters = executor_counters(vulkan);
    assert_true(counters.dispatches >= 2 * op_case_count);
    assert_int_equal(counters.host_nodes, 0);
    executor_destroy(cpu);
    fixture_close(vulkan);
}

static void every_op_equals_the_twin_on_lavapipe(void **state)
{
    (void)state;
    check_all(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
}

static void every_op_equals_the_twin_with_tiled_products(void **state)
{
    (void)state;
    check_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.variant = "tile_128x64"});
}

static void every_op_equals_the_twin_in_buffers_of_a_mebibyte(void **state)
{
    (void)state;
    check_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = 1 << 20});
}

/* Bindings of 64 KiB into larger buffers: chunks and panels. */
static void every_op_equals_the_twin_in_small_bindings(void **state)
{
    (void)state;
    check_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_binding_bytes = LARGE});
}

/* Tensors in many buffers, and windows across their ends. */
static void every_op_equals_the_twin_in_small_buffers(void **state)
{
    (void)state;
    check_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = LARGE});
}

static void every_op_equals_the_twin_with_tiled_products_in_small_buffers(void **state)
{
    (void)state;
    check_all(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = LARGE, .variant = "tile_128x64"});
}

static void every_op_equals_the_twin_in_small_buffers_on_swiftshader(void **state)
{
    (void)state;
    check_all(FIXTURE_SWIFTSHADER, (struct vulkan_options){.max_buffer_bytes = LARGE});
}

static void every_op_equals_the_twin_on_swiftshader(void **state)
{
    (void)state;
    check_all(FIXTURE_SWIFTSHADER, (struct vulkan_options){0});
}

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
        check_cases(vulkan, cpu, product_cases, sizeof product_cases / sizeof *product_cases);
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
    check_variants(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_binding_bytes = LARGE});
}

static void every_variant_of_products_equals_the_twin_on_swiftshader(void **state)
{
    (void)state;
    check_variants(FIXTURE_SWIFTSHADER, (struct vulkan_options){0});
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
    check_cases(vulkan, cpu, instrumented_cases, sizeof instrumented_cases / sizeof *instrumented_cases);
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
        cmocka_unit_test(every_op_has_a_case_larger_than_a_binding),
        cmocka_unit_test(no_kernel_accesses_what_is_not_bound),
        cmocka_unit_test(every_op_equals_the_twin_in_small_bindings),
        cmocka_unit_test(every_op_equals_the_twin_in_small_buffers),
        cmocka_unit_test(every_op_equals_the_twin_with_tiled_products_in_small_buffers),
        cmocka_unit_test(every_op_equals_the_twin_in_small_buffers_on_swiftshader),
        cmocka_unit_test(every_op_equals_the_twin_on_swiftshader),
        cmocka_unit_test(every_variant_of_products_equals_the_twin_on_lavapipe),
        cmocka_unit_test(every_variant_of_products_equals_the_twin_in_small_bindings),
        cmocka_unit_test(every_variant_of_products_equals_the_twin_on_swiftshader),
        cmocka_unit_test(views_equal_the_twin_on_lavapipe),
        cmocka_unit_test(views_equal_the_twin_on_swiftshader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
