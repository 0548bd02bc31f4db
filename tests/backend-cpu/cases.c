/* The shapes: 1, odd, prime, contractions beyond 512, more than 4096 elements, heads of several kinds. */
#include "tests/backend-cpu/cases.h"
#include "tests/support/test.h"
#include <math.h>

// clang-format off
#define MATMULS(t, n, k)                                              \
    {OP_matmul_nt, {0}, {S2(t, k), S2(n, k)}, {S2(t, n)}},            \
    {OP_matmul_nn, {0}, {S2(t, k), S2(k, n)}, {S2(t, n)}},            \
    {OP_matmul_tn, {0}, {S2(k, t), S2(k, n)}, {S2(t, n)}}
#define NORMS(t, d)                                                                                  \
    {OP_rmsnorm, {.epsilon = 1e-5f}, {S2(t, d), S1(d)}, {S2(t, d), S1(t)}},                          \
    {OP_rmsnorm_grad, {0}, {S2(t, d), S1(d), S1(t), S2(t, d)}, {S2(t, d)}},                          \
    {OP_rmsnorm_weight_grad, {0}, {S2(t, d), S1(t), S2(t, d)}, {S1(d)}},                             \
    {OP_layernorm, {.epsilon = 1e-5f}, {S2(t, d), S1(d)}, {S2(t, d), S1(t), S1(t)}},                 \
    {OP_layernorm_grad, {0}, {S2(t, d), S1(d), S1(t), S1(t), S2(t, d)}, {S2(t, d)}},                 \
    {OP_layernorm_weight_grad, {0}, {S2(t, d), S1(t), S1(t), S2(t, d)}, {S1(d)}}
#define HEAD_NORMS(b, s, n, d)                                                                       \
    {OP_head_rmsnorm, {.epsilon = 1e-5f, .heads = n}, {S3(b, s, (n) * (d)), S1(d)}, {S3(b, s, (n) * (d)), S3(b, s, n)}}, \
    {OP_head_rmsnorm_grad, {.heads = n}, {S3(b, s, (n) * (d)), S1(d), S3(b, s, n), S3(b, s, (n) * (d))}, {S3(b, s, (n) * (d))}}, \
    {OP_head_rmsnorm_weight_grad, {.heads = n}, {S3(b, s, (n) * (d)), S3(b, s, n), S3(b, s, (n) * (d))}, {S1(d)}}
#define POSITIONS(b, s, d, first, p)                                                                 \
    {OP_add_positions, {.start = first}, {S3(b, s, d), S2(p, d)}, {S3(b, s, d)}},                    \
    {OP_add_positions_grad, {.start = first, .rows = p}, {S3(b, s, d)}, {S2(p, d)}}
#define ATTENTIONS(b, s, g, r, h, e, mask) BENT_ATTENTIONS(b, s, g, r, h, e, mask, 0, 0)
#define BENT_ATTENTIONS(b, s, g, r, h, e, mask, keys, cap)                                                          \
    {OP_attention, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys, .softcap = cap},                              \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))},                                         \
     {S3(b, s, (g) * (r) * (e)), S4(b, s, (g) * (r), 2)}},                                                          \
    {OP_attention_delta, {.heads = (g) * (r)}, {S3(b, s, (g) * (r) * (e)), S3(b, s, (g) * (r) * (e))},              \
     {S3(b, s, (g) * (r))}},                                                                                        \
    {OP_attention_grad, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys, .softcap = cap},                      \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e)), S3(b, s, (g) * (r) * (e)),               \
      S4(b, s, (g) * (r), 2), S3(b, s, (g) * (r))},                                                                 \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))}}
#define SLOPED_ATTENTIONS(b, s, g, r, h, e, mask, keys)                                                                \
    {OP_sloped_attention, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys},         \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e)), S1((g) * (r))},                            \
     {S3(b, s, (g) * (r) * (e)), S4(b, s, (g) * (r), 2)}},                                                            \
    {OP_sloped_attention_grad, {.heads = (g) * (r), .kv_heads = g, .scale = 0.3f, .causal = mask, .window = keys},    \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e)), S3(b, s, (g) * (r) * (e)),                 \
      S4(b, s, (g) * (r), 2), S3(b, s, (g) * (r)), S1((g) * (r))},                                                    \
     {S3(b, s, (g) * (r) * (h)), S3(b, s, (g) * (h)), S3(b, s, (g) * (e))}}
#define POINTWISE(...)                                              \
    {OP_silu, {0}, {__VA_ARGS__}, {__VA_ARGS__}},                           \
    {OP_silu_grad, {0}, {__VA_ARGS__, __VA_ARGS__}, {__VA_ARGS__}},         \
    {OP_relu, {0}, {__VA_ARGS__}, {__VA_ARGS__}},                           \
    {OP_relu_grad, {0}, {__VA_ARGS__, __VA_ARGS__}, {__VA_ARGS__}},         \
    {OP_gelu, {0}, {__VA_ARGS__}, {__VA_ARGS__}},                           \
    {OP_gelu_grad, {0}, {__VA_ARGS__, __VA_ARGS__}, {__VA_ARGS__}},         \
    {OP_gelu_tanh, {0}, {__VA_ARGS__}, {__VA_ARGS__}},                      \
    {OP_gelu_tanh_grad, {0}, {__VA_ARGS__, __VA_ARGS__}, {__VA_ARGS__}},    \
    {OP_tanh, {0}, {__VA_ARGS__}, {__VA_ARGS__}},                           \
    {OP_tanh_grad, {0}, {__VA_ARGS__, __VA_ARGS__}, {__VA_ARGS__}},         \
    {OP_add, {0}, {__VA_ARGS__, __VA_ARGS__}, {__VA_ARGS__}},               \
    {OP_mul, {0}, {__VA_ARGS__, __VA_ARGS__}, {__VA_ARGS__}},               \
    {OP_scale, {.scale = 0.7f}, {__VA_ARGS__}, {__VA_ARGS__}},              \
    {OP_scale_ratio, {0}, {__VA_ARGS__, S1(1), S1(1)}, {__VA_ARGS__}},      \
    {OP_dot, {0}, {__VA_ARGS__, __VA_ARGS__}, {S1(1)}},                     \
    {OP_adamw, {.decay = 1}, {__VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, S1(16), S1(2)}, \
     {__VA_ARGS__, __VA_ARGS__, __VA_ARGS__}}
#define DIVERGENCES(t, v)                                                                         \
    {OP_kl_top_rows, {.top = (v + 3) / 4}, {S2(t, v), S2(t, v), S1(t)}, {S1(t), S2(t, v)}},       \
    {OP_kl_top_rows, {.top = v}, {S2(t, v), S2(t, v), S1(t)}, {S1(t), S2(t, v)}},                 \
    {OP_top_rows, {.top = (v + 3) / 4}, {S2(t, v)}, {S2(t, (v + 3) / 4), S2(t, (v + 3) / 4), S1(t)}}, \
    {OP_top_rows, {.top = v}, {S2(t, v)}, {S2(t, v), S2(t, v), S1(t)}},                           \
    {OP_kl_kept_rows, {0}, {S2(t, v), S2(t, (v + 3) / 4), S2(t, (v + 3) / 4), S1(t), S1(t)}, {S1(t), S2(t, v)}}, \
    {OP_kl_kept_rows, {0}, {S2(t, v), S2(t, v), S2(t, v), S1(t), S1(t)}, {S1(t), S2(t, v)}},      \
    {OP_reverse_kl_rows, {0}, {S2(t, v), S2(t, v), S1(t)}, {S1(t), S2(t, v)}},                    \
    {OP_js_rows, {0}, {S2(t, v), S2(t, v), S1(t)}, {S1(t), S2(t, v)}}
#define COSINES(t, d) {OP_cosine_loss_rows, {0}, {S2(t, d), S2(t, d), S1(t)}, {S1(t), S2(t, d)}}
#define ROWS(t, v)                                                                                \
    {OP_ce_rows, {0}, {S2(t, v), S1(t), S1(t)}, {S1(t), S2(t, v)}},                               \
    {OP_kl_rows, {0}, {S2(t, v), S2(t, v), S1(t)}, {S1(t), S2(t, v)}},                            \
    {OP_mse_rows, {0}, {S2(t, v), S2(t, v), S1(t)}, {S1(t), S2(t, v)}},                           \
    {OP_cosine_rows, {0}, {S2(t, v), S2(t, v)}, {S1(t)}},                                         \
    {OP_column_sum, {0}, {S2(t, v)}, {S1(v)}},                                                    \
    {OP_column_squares, {0}, {S2(t, v)}, {S1(v)}},                                                \
    {OP_embed, {0}, {S2(v, t), S1(37)}, {S2(37, t)}},                                             \
    {OP_embed_grad, {.rows = v}, {S1(t), S2(t, 5)}, {S2(v, 5)}}

const struct op_case op_cases[] = {
    MATMULS(1, 1, 1), MATMULS(1, 7, 3), MATMULS(5, 1, 9), MATMULS(13, 33, 17), MATMULS(12, 32, 512),
    MATMULS(25, 31, 513), MATMULS(3, 5, 1100), MATMULS(64, 257, 40), MATMULS(211, 65, 64), MATMULS(7, 70, 1536), MATMULS(30, 48, 530),
    {OP_matmul_nt, {0}, {S3(2, 3, 5), S2(7, 5)}, {S3(2, 3, 7)}},
    {OP_matmul_tn, {0}, {S3(2, 3, 5), S3(2, 3, 7)}, {S2(5, 7)}},
    NORMS(1, 1), NORMS(3, 7), NORMS(5, 64), NORMS(2, 129), NORMS(700, 48), NORMS(1025, 17),
    {OP_rmsnorm, {.epsilon = 1e-5f}, {S3(2, 3, 24), S1(24)}, {S3(2, 3, 24), S2(2, 3)}},
    ATTENTIONS(1, 1, 1, 1, 1, 1, 1), ATTENTIONS(2, 5, 1, 2, 3, 5, 1), ATTENTIONS(1, 37, 2, 2, 8, 8, 1),
    ATTENTIONS(1, 37, 2, 1, 8, 4, 0), ATTENTIONS(2, 64, 1, 3, 16, 40, 1), ATTENTIONS(1, 530, 1, 2, 6, 7, 1),
    ATTENTIONS(1, 601, 1, 1, 4, 9, 0), ATTENTIONS(1, 3, 1, 1, 520, 514, 1),
    BENT_ATTENTIONS(2, 37, 2, 2, 8, 8, 1, 9, 0), BENT_ATTENTIONS(1, 37, 2, 1, 8, 4, 0, 0, 1.5f), BENT_ATTENTIONS(1, 5, 1, 2, 3, 5, 1, 1, 0),
    BENT_ATTENTIONS(1, 660, 1, 2, 6, 7, 1, 77, 0.7f), BENT_ATTENTIONS(1, 700, 1, 1, 4, 9, 1, 530, 0), BENT_ATTENTIONS(1, 20, 1, 1, 4, 4, 1, 20, 30),
    SLOPED_ATTENTIONS(1, 1, 1, 1, 1, 1, 1, 0), SLOPED_ATTENTIONS(2, 37, 4, 1, 8, 8, 1, 0), SLOPED_ATTENTIONS(1, 70, 2, 3, 5, 7, 1, 9),
    SLOPED_ATTENTIONS(1, 601, 1, 2, 4, 9, 1, 0), SLOPED_ATTENTIONS(1, 19, 2, 1, 6, 4, 0, 0),
    {OP_rotary_table, {0}, {S2(2, 19), S1(4)}, {S3(19, 2, 4)}}, {OP_rotary_table, {0}, {S2(1, 1), S1(1)}, {S3(1, 2, 1)}},
    {OP_rotary_table, {0}, {S2(1, 1000), S1(3)}, {S3(1000, 2, 3)}},
    {OP_rope, {0}, {S3(2, 5, 24), S3(5, 2, 4)}, {S3(2, 5, 24)}},
    {OP_rope, {.inverse = 1}, {S3(1, 3, 34), S3(3, 2, 17)}, {S3(1, 3, 34)}},
    {OP_rope, {0}, {S3(1, 1, 2), S3(1, 2, 1)}, {S3(1, 1, 2)}},
    {OP_rope_part, {.heads = 2}, {S3(2, 5, 22), S3(5, 2, 4)}, {S3(2, 5, 22)}},
    {OP_rope_part, {.heads = 3, .inverse = 1}, {S3(1, 70, 15), S3(70, 2, 2)}, {S3(1, 70, 15)}},
    HEAD_NORMS(1, 1, 1, 2), HEAD_NORMS(2, 5, 3, 7), HEAD_NORMS(1, 300, 4, 16), HEAD_NORMS(3, 9, 2, 130),
    POSITIONS(1, 1, 1, 0, 1), POSITIONS(3, 5, 7, 2, 9), POSITIONS(2, 300, 33, 0, 300), POSITIONS(600, 2, 3, 1, 4),
    POINTWISE(S1(1)), POINTWISE(S2(3, 13)), POINTWISE(S3(7, 11, 101)), POINTWISE(S2(300, 200)),
    {OP_adamw, {0}, {S1(33), S1(33), S1(33), S1(33), S1(16), S1(2)}, {S1(33), S1(33), S1(33)}},
    {OP_add, {0}, {S3(3, 4, 7), S1(7)}, {S3(3, 4, 7)}}, {OP_mul, {0}, {S2(1000, 65), S1(65)}, {S2(1000, 65)}},
    ROWS(1, 1), ROWS(3, 2), ROWS(5, 64), ROWS(17, 65), ROWS(2, 1031), ROWS(1500, 19), ROWS(600, 200),
    DIVERGENCES(1, 1), DIVERGENCES(3, 7), DIVERGENCES(5, 64), DIVERGENCES(17, 65), DIVERGENCES(2, 1031),
    DIVERGENCES(1500, 19), DIVERGENCES(600, 200),
    COSINES(3, 7), COSINES(5, 64), COSINES(17, 65), COSINES(2, 1031), COSINES(700, 19), COSINES(600, 200),
    {OP_spread, {.rows = 1}, {S1(1)}, {S2(1, 1)}}, {OP_spread, {.rows = 7}, {S2(3, 5)}, {S3(3, 5, 7)}},
    {OP_spread, {.rows = 130}, {S1(301)}, {S2(301, 130)}},
    {OP_attention_log_sums, {0}, {S2(1, 2)}, {S1(1)}}, {OP_attention_log_sums, {0}, {S4(2, 50, 3, 2)}, {S3(2, 50, 3)}},
    {OP_place_rows, {.start = 2}, {S2(7, 5), S2(3, 5)}, {S2(7, 5)}},
    {OP_place_rows, {.start = 0}, {S3(2, 3, 4), S2(6, 4)}, {S3(2, 3, 4)}},
    {OP_place_rows, {.start = 999}, {S2(1000, 70), S2(1, 70)}, {S2(1000, 70)}},
    {OP_block_squares, {0}, {S1(1)}, {S1(1)}}, {OP_block_squares, {0}, {S2(64, 64)}, {S1(1)}},
    {OP_block_squares, {0}, {S2(241, 17)}, {S1(2)}}, {OP_block_squares, {0}, {S1(40000)}, {S1(10)}},
    {OP_sum, {0}, {S1(1)}, {S1(1)}}, {OP_sum, {0}, {S1(65)}, {S1(1)}}, {OP_sum, {0}, {S1(5003)}, {S1(1)}},
    {OP_clip, {0}, {S1(1), S1(16)}, {S1(2)}},
    {OP_head_norms, {.heads = 3}, {S3(2, 7, 24)}, {S3(2, 7, 3)}}, {OP_head_norms, {.heads = 1}, {S3(1, 1, 1030)}, {S3(1, 1, 1)}},
    {OP_head_norms, {.heads = 8}, {S3(3, 100, 64)}, {S3(3, 100, 8)}},
    {OP_mean_abs, {0}, {S3(1, 1, 1)}, {S2(1, 1)}}, {OP_mean_abs, {0}, {S3(3, 7, 33)}, {S2(3, 33)}},
    {OP_mean_abs, {0}, {S3(2, 1100, 13)}, {S2(2, 13)}},
    {OP_sequence_norm, {0}, {S3(1, 1, 1)}, {S2(1, 1)}}, {OP_sequence_norm, {0}, {S3(3, 7, 33)}, {S2(3, 33)}},
    {OP_sequence_norm, {0}, {S3(2, 1100, 13)}, {S2(2, 13)}},
    {OP_sequence_moments, {0}, {S3(1, 1, 1)}, {S2(1, 1), S2(1, 1)}}, {OP_sequence_moments, {0}, {S3(3, 7, 33)}, {S2(3, 33), S2(3, 33)}},
    {OP_sequence_moments, {0}, {S3(2, 1100, 13)}, {S2(2, 13), S2(2, 13)}},
};
// clang-format on
const uint32_t op_case_count = sizeof op_cases / sizeof *op_cases;

enum { GUARD = 64 }; /* bytes on either side of a buffer */
enum { GUARD_BYTE = 0xa5 };

int64_t case_count(struct case_shape shape)
{
    int64_t count = 1;
    for (uint32_t i = 0; i < shape.rank; i++)
        count *= shape.dims[i];
    return count;
}

bool case_is_integer(enum op op, uint32_t input)
{
    const char *at = op_table[op].rule;
    for (; input > 0; input--) {
        at = strchr(at, ',');
        if (!at)
            return false;
        at++;
    }
    return at[strspn(at, " ")] == '#';
}

void case_describe(const struct op_case *c, char text[256])
{
    int length = snprintf(text, 256, "%s", op_table[c->op].name);
    for (uint32_t i = 0; i < op_table[c->op].inputs; i++) {
        length += snprintf(text + length, 256 - (size_t)length, " [");
        for (uint32_t a = 0; a < c->in[i].rank; a++)
            length += snprintf(text + length, 256 - (size_t)length, a ? ", %d" : "%d", (int)c->in[i].dims[a]);
        length += snprintf(text + length, 256 - (size_t)length, "]");
    }
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint32_t x = (uint32_t)((*state >> 22 ^ *state) >> (22 + (*state >> 61)));
    return x;
}

static float random_value(uint64_t *state, enum case_values values)
{
    float unit = (float)(next_random(state) >> 8) * 0x1p-24f;
    float sign = next_random(state) & 1 ? -1.0f : 1.0f;
    if (values == CASE_EVEN)
        return sign * unit;
    int exponent = (int)(next_random(state) % 56);
    return exponent > 51 ? 0 : sign * ldexpf(0.5f + unit / 2, -exponent);
}

static int32_t id_limit(const struct op_case *c)
{
    switch (c->op) {
    case OP_embed:
        return (int32_t)c->in[0].dims[0];
    case OP_embed_grad:
        return (int32_t)c->attributes.rows;
    case OP_ce_rows:
    case OP_kl_kept_rows:
        return (int32_t)c->in[0].dims[1];
    default:
        return 1;
    }
}

/* Inputs that mean something: squares, reciprocal norms, the optimizer's constants. */
static float meaningful(const struct op_case *c, uint32_t input, int64_t i, float x)
{
    static const float hyper[16] = {1e-3f, 0.9f,  0.1f,    0.95f,  0.05f,    2.5f,
                                    5.26f, 1e-8f, 0.9999f, 0.125f, 1.0f / 64};
    bool positive =
        (c->op == OP_sum && input == 0) || (c->op == OP_clip && input == 0) ||
        (c->op == OP_adamw && (input == 3 || input == 5)) || (c->op == OP_rmsnorm_grad && input == 2) ||
        (c->op == OP_rmsnorm_weight_grad && input == 1) || (c->op == OP_head_rmsnorm_grad && input == 2) ||
        (c->op == OP_head_rmsnorm_weight_grad && input == 1) || (c->op == OP_layernorm_grad && input == 3) ||
        (c->op == OP_layernorm_weight_grad && input == 2) ||
        (c->op == OP_attention_grad && input == 4 && i % 2 == 1) ||
        (c->op == OP_sloped_attention_grad && input == 4 && i % 2 == 1);
    bool is_slope = (c->op == OP_sloped_attention || c->op == OP_sloped_attention_grad) &&
                    op_constant_input(c->op) == input;
    if (is_slope)
        return fabsf(x) / 64;
    if ((c->op == OP_adamw && input == 4) || (c->op == OP_clip && input == 1))
        return hyper[i];
    if (c->op == OP_attention_log_sums && i % 2 == 1)
        return fabsf(x) + 0x1p-20f; /* the reciprocal of a sum is never 0 */
    if (c->op == OP_top_rows)
        return rintf(x * 8) / 8; /* many are equal */
    return positive ? fabsf(x) : x;
}

/* Kept ids ascend in each row. */
static int32_t random_id(const struct op_case *c, int64_t i, uint32_t random)
{
    int32_t limit = id_limit(c), kept = (int32_t)c->in[1].dims[1], stride = limit / (kept > 0 ? kept : 1);
    if (c->op != OP_kl_kept_rows)
        return (int32_t)(random % (uint32_t)limit);
    return (int32_t)(i % kept) * stride + (int32_t)(random % (uint32_t)stride);
}

static size_t element(const struct case_run *run, bool integer)
{
    return integer ? sizeof(int32_t) : run->precision == CASE_DOUBLE ? sizeof(double) : sizeof(float);
}

static struct kernel_operand make_operand(const struct case_run *run, struct case_shape shape, bool integer)
{
    struct kernel_operand operand = {.count = case_count(shape), .rank = shape.rank};
    memcpy(operand.dims, shape.dims, sizeof operand.dims);
    size_t bytes = (size_t)operand.count * element(run, integer);
    char *memory = malloc(bytes + 2 * GUARD);
    assert_non_null(memory);
    memset(memory, GUARD_BYTE, bytes + 2 * GUARD);
    operand.data = memory + GUARD;
    return operand;
}

static void fill(struct case_run *run, uint32_t input, enum case_values values, uint64_t *state)
{
    struct kernel_operand *operand = &run->call.inputs[input];
    for (int64_t i = 0; i < operand->count; i++) {
        if (case_is_integer(run->of->op, input)) {
            ((int32_t *)operand->data)[i] = random_id(run->of, i, next_random(state));
            continue;
        }
        float x = meaningful(run->of, input, i, random_value(state, values));
        x = run->of->op == OP_adamw && input == 3 ? gm_flush_square(x * x) : gm_flush(x);
        if (run->precision == CASE_DOUBLE)
            ((double *)operand->data)[i] = x;
        else
            ((float *)operand->data)[i] = x;
    }
}

struct case_run case_run_create(const struct op_case *c, enum case_precision precision,
                                enum case_values values, uint32_t seed)
{
    struct case_run run = {.of = c, .precision = precision};
    uint64_t state = seed * 2654435761u + 1;
    run.call.attributes = c->attributes;
    run.call.input_count = op_table[c->op].inputs;
    run.call.result_count = op_table[c->op].results;
    for (uint32_t i = 0; i < run.call.input_count; i++) {
        run.call.inputs[i] = make_operand(&run, c->in[i], case_is_integer(c->op, i));
        fill(&run, i, values, &state);
    }
    for (uint32_t i = 0; i < run.call.result_count; i++)
        run.call.results[i] = make_operand(&run, c->out[i], false);
    return run;
}

void case_run_release(struct case_run *run)
{
    for (uint32_t i = 0; i < run->call.input_count; i++)
        free((char *)run->call.inputs[i].data - GUARD);
    for (uint32_t i = 0; i < run->call.result_count; i++)
        free((char *)run->call.results[i].data - GUARD);
}

static void check_guards(const struct case_run *run, const struct kernel_operand *operand, bool integer)
{
    const unsigned char *before = (const unsigned char *)operand->data - GUARD;
    const unsigned char *after =
        (const unsigned char *)operand->data + (size_t)operand->count * element(run, integer);
    for (int i = 0; i < GUARD; i++)
        if (before[i] != GUARD_BYTE || after[i] != GUARD_BYTE) {
            char text[256];
            case_describe(run->of, text);
            fail_msg("%s wrote outside of a buffer", text);
        }
}

void case_run_call(struct case_run *run, kernel_function *const *table, struct cpu_threads *threads)
{
    for (uint32_t i = 0; i < run->call.result_count; i++)
        memset(run->call.results[i].data, 0x7f, (size_t)run->call.results[i].count * element(run, false));
    run->call.threads = threads;
    table[run->of->op](&run->call);
    assert_false(run->call.fault.raised);
    for (uint32_t i = 0; i < run->call.input_count; i++)
        check_guards(run, &run->call.inputs[i], case_is_integer(run->of->op, i));
    for (uint32_t i = 0; i < run->call.result_count; i++)
        check_guards(run, &run->call.results[i], false);
}

double case_get(const struct case_run *run, const struct kernel_operand *operand, int64_t i)
{
    return run->precision == CASE_DOUBLE ? ((const double *)operand->data)[i]
                                         : (double)((const float *)operand->data)[i];
}

bool case_spoil(struct case_run *run, uint32_t number)
{
    static const float values[] = {INFINITY, -INFINITY, NAN};
    enum { VALUES = 3, POSITIONS = 3 };
    uint32_t input = number / (VALUES * POSITIONS), position = number / VALUES % POSITIONS;
    if (input == run->call.input_count)
        return false;
    const struct kernel_operand *x = &run->call.inputs[input];
    if (!case_is_integer(run->of->op, input))
        ((float *)x->data)[(x->count - 1) * position / (POSITIONS - 1)] = values[number % VALUES];
    else
        case_spoil(run, (input + 1) * VALUES * POSITIONS + number % (VALUES * POSITIONS));
    return true;
}

bool case_shows(const struct case_run *run)
{
    for (uint32_t r = 0; r < run->call.result_count; r++)
        for (int64_t i = 0; i < run->call.results[r].count; i++)
            if (!isfinite(case_get(run, &run->call.results[r], i)))
                return true;
    return false;
}
