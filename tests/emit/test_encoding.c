/* emit/encoding.c: figures by hand and by the definitions of the formats. */
#include "emit/encoding.h"
#include "tests/support/test.h"
#include <math.h>

static uint32_t pair_at(const uint8_t *bytes, size_t i)
{
    return (uint32_t)bytes[2 * i] | (uint32_t)bytes[2 * i + 1] << 8;
}

static void names_find_encodings(void **state)
{
    (void)state;
    assert_ptr_equal(encoding_find(STR("q8_0")), &encoding_q8_0);
    assert_ptr_equal(encoding_find(STR("f32")), &encoding_f32);
    assert_null(encoding_find(STR("q8")));
    assert_null(encoding_find(STR("")));
}

static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    const float in[] = {1.0f, -2.0f, 0.1f, 1.0f + 0x1p-11f, 1.0f + 0x1.8p-10f, 0x1p-24f, 65504.0f, 0.0f};
    const uint32_t expected[] = {0x3c00, 0xc000, 0x2e66, 0x3c00, 0x3c02, 0x0001, 0x7bff, 0};
    uint8_t out[16];
    assert_true(encoding_f16.encode(out, in, 8));
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pair_at(out, i), expected[i]);
}

static void brain_floats_round_to_nearest_even(void **state)
{
    (void)state;
    const float in[] = {1.0f, 1.0f + 0x1p-8f, 1.0f + 0x1.8p-7f, -0.1f};
    const uint32_t expected[] = {0x3f80, 0x3f80, 0x3f82, 0xbdcd};
    uint8_t out[8];
    assert_true(encoding_bf16.encode(out, in, 4));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pair_at(out, i), expected[i]);
}

static void what_is_too_large_does_not_fit(void **state)
{
    (void)state;
    uint8_t out[34];
    float in[32] = {65520.0f};
    assert_false(encoding_f16.encode(out, in, 1));
    assert_true(encoding_bf16.encode(out, in, 1));
    in[0] = 3.4e38f;
    assert_false(encoding_bf16.encode(out, in, 1));
    assert_false(encoding_q8_0.encode(out, in, 32));
    in[0] = INFINITY;
    assert_true(encoding_f16.encode(out, in, 1)); /* the format has it */
    assert_false(encoding_q8_0.encode(out, in, 32));
    in[0] = NAN;
    assert_false(encoding_q8_0.encode(out, in, 32));
}

static void a_block_is_a_step_and_its_multiples(void **state)
{
    (void)state;
    float in[32];
    uint8_t out[34];
    for (int i = 0; i < 32; i++)
        in[i] = (float)(i - 16) * 0.5f;
    in[31] = -12.7f; /* the largest: the step is 0.1 */
    assert_true(encoding_q8_0.encode(out, in, 32));
    assert_int_equal(pair_at(out, 0), 0x2e66); /* 0.1 as a half */
    for (int i = 0; i < 31; i++)
        assert_int_equal((int8_t)out[2 + i], (i - 16) * 5);
    assert_int_equal((int8_t)out[33], -127);
}

static void zeros_and_subnormals_make_a_block_of_zeros(void **state)
{
    (void)state;
    float in[32] = {0};
    uint8_t out[34], zeros[34] = {0};
    for (int round = 0; round < 2; round++) {
        memset(out, 0xff, sizeof out);
        assert_true(encoding_q8_0.encode(out, in, 32));
        assert_memory_equal(out, zeros, sizeof out);
        in[3] = 0x1p-149f;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_find_encodings),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(brain_floats_round_to_nearest_even),
        cmocka_unit_test(what_is_too_large_does_not_fit),
        cmocka_unit_test(a_block_is_a_step_and_its_multiples),
        cmocka_unit_test(zeros_and_subnormals_make_a_block_of_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
