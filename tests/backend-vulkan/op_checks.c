#include "tests/backend-vulkan/op_checks.h"
#include "backend-cpu/cpu.h"
#include "tests/backend-vulkan/one_op.h"

/* Attention as every form of it may see it: b sequences of s, g groups of r heads, of widths h and e. */
// clang-format off
#define ATTENTION(b, s, g, r, h, e, mask, keys, cap) \
    {OP_attention, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys, .softcap = cap}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))}, {S3(b, s, (g) * (r) * (e)), S4(b, s, (g) * (r), 2)}}, \
    {OP_attention_grad, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys, .softcap = cap}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e)), S3(b, s, (g) * (r) * (e)), S4(b, s, (g) * (r), 2), S3(b, s, (g) * (r))}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))}}
#define SLOPED(b, s, g, r, h, e, mask, keys) \
    {OP_sloped_attention, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e)), S1((g) * (r))}, {S3(b, s, (g) * (r) * (e)), S4(b, s, (g) * (r), 2)}}, \
    {OP_sloped_attention_grad, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e)), S3(b, s, (g) * (r) * (e)), S4(b, s, (g) * (r), 2), S3(b, s, (g) * (r)), S1((g) * (r))}, \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))}}

/* Edges of tiles, columns not divisible by four, heads wider than a group's columns; heads that lanes hold, to the widest
 * and beyond, with sequences that fill tiles and blocks of sums or not. */
static const struct op_case more_cases[] = {
    ATTENTION(2, 1, 1, 2, 16, 16, 1, 0, 0), ATTENTION(2, 67, 2, 2, 16, 16, 1, 0, 0), ATTENTION(1, 130, 1, 3, 15, 13, 1, 0, 0),
    ATTENTION(1, 41, 2, 1, 17, 31, 0, 0, 0), ATTENTION(1, 71, 1, 2, 33, 8, 1, 0, 0), ATTENTION(1, 150, 1, 2, 16, 16, 1, 37, 0),
    ATTENTION(1, 90, 2, 1, 15, 13, 1, 9, 3), ATTENTION(1, 530, 1, 2, 15, 13, 1, 0, 0), SLOPED(2, 75, 1, 2, 15, 13, 1, 20),
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

// clang-format off
const struct op_case op_checks_large_cases[] = {
    ATTENTION(3, 150, 2, 2, 16, 16, 1, 0, 0), ATTENTION(1, 240, 2, 2, 15, 13, 1, 0, 0),
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
const uint32_t op_checks_large_count = sizeof op_checks_large_cases / sizeof *op_checks_large_cases;

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

void op_checks_run(struct executor *vulkan, struct executor *cpu, const struct op_case *cases, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        check_case(vulkan, cpu, &cases[n], CASE_EVEN, n + 1);
        check_case(vulkan, cpu, &cases[n], CASE_ALL_EXPONENTS, n + 1000);
    }
}

void op_checks_run_all(enum fixture_driver driver, struct vulkan_options options)
{
    struct trace trace = {0};
    struct executor *cpu = NULL;
    struct executor *vulkan = fixture_open(driver, options);
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    op_checks_run(vulkan, cpu, op_cases, op_case_count);
    op_checks_run(vulkan, cpu, more_cases, sizeof more_cases / sizeof *more_cases);
    if (options.max_buffer_bytes || options.max_binding_bytes)
        op_checks_run(vulkan, cpu, op_checks_large_cases, op_checks_large_count);
    struct executor_counters counters = executor_counters(vulkan);
    assert_true(counters.dispatches >= 2 * op_case_count);
    assert_int_equal(counters.host_nodes, 0);
    executor_destroy(cpu);
    fixture_close(vulkan);
}

void op_checks_run_large(enum fixture_driver driver, struct vulkan_options options)
{
    struct trace trace = {0};
    struct executor *cpu = NULL;
    struct executor *vulkan = fixture_open(driver, options);
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    op_checks_run(vulkan, cpu, op_checks_large_cases, op_checks_large_count);
    executor_destroy(cpu);
    fixture_close(vulkan);
}
