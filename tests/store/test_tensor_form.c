/* Headers of tensors: sizes, bounds, one spelling. */
#include "tests/support/test.h"

#include "store/tensor_form.h"

static void sizes_are_computed(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        uint32_t size;
    } cases[] = {{"bool", 1}, {"u8", 1},  {"i8", 1},  {"u16", 2}, {"i16", 2}, {"f16", 2}, {"bf16", 2},
                 {"u32", 4},  {"i32", 4}, {"f32", 4}, {"u64", 8}, {"i64", 8}, {"f64", 8}};
    struct trace trace = {0};
    struct tensor_form form;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(tensor_form_init(&form, cases[i].dtype, 3, (int64_t[]){5, 7, 11}, &trace), &trace);
        assert_int_equal(form.element_size, cases[i].size);
        assert_int_equal(form.count, 385);
        assert_int_equal(form.bytes, 385 * cases[i].size);
    }
    assert_ok(tensor_form_init(&form, "f32", 0, NULL, &trace), &trace);
    assert_int_equal(form.bytes, 4);
    assert_ok(tensor_form_init(&form, "f32", 2, (int64_t[]){0, 9}, &trace), &trace);
    assert_int_equal(form.bytes, 0);
}

static void impossible_forms_are_refused(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tensor_form form;
    assert_fails(tensor_form_init(&form, "f33", 0, NULL, &trace), INVALID, &trace, "\"f33\"");
    assert_fails(tensor_form_init(&form, "", 0, NULL, &trace), INVALID, &trace, "\"\"");
    assert_fails(tensor_form_init(&form, "f32", 9, (int64_t[9]){0}, &trace), INVALID, &trace, "rank 9");
    assert_fails(tensor_form_init(&form, "f32", 2, (int64_t[]){3, -1}, &trace), INVALID, &trace, "dim 1");
    assert_fails(tensor_form_init(&form, "f32", 1, (int64_t[]){INT64_MAX}, &trace), INVALID, &trace, "2^63");
    assert_fails(tensor_form_init(&form, "u8", 2, (int64_t[]){1ll << 32, 1ll << 31}, &trace), INVALID, &trace,
                 "2^63");
    assert_fails(tensor_form_init(&form, "u8", 3, (int64_t[]){0, 1ll << 32, 1ll << 31}, &trace), INVALID,
                 &trace, "2^63");
}

static void headers_come_back(void **state)
{
    (void)state;
    static const int64_t shapes[][TENSOR_RANK] = {{512, 64},
                                                  {1, 1, 1, 1, 1, 1, 1, 1},
                                                  {0, 3},
                                                  {INT64_MAX / 8},
                                                  {10, 10, 10, 10, 10, 100000000, 0, 9999}};
    static const uint32_t ranks[] = {2, 8, 2, 1, 8};
    struct trace trace = {0};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        struct tensor_form form, back;
        char header[TENSOR_HEADER];
        assert_ok(tensor_form_init(&form, "bf16", ranks[i], shapes[i], &trace), &trace);
        tensor_form_to_header(header, &form);
        assert_int_equal(header[TENSOR_HEADER - 1], '\n');
        assert_true(tensor_form_from_header(&back, (uint8_t *)header));
        assert_memory_equal(&form, &back, sizeof form);
    }
}

static void headers_have_one_spelling(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "f32  2",
                                        "f32 02",
                                        " f32 2",
                                        "f32 -2",
                                        "f32 2 x",
                                        "f33 2",
                                        "F32 2",
                                        "f32 +2",
                                        "f32 2 3 4 5 6 7 8 9 10",
                                        "f32 9223372036854775808",
                                        "bfloat16 2",
                                        "f32 4611686018427387904"};
    struct tensor_form form;
    char header[TENSOR_HEADER];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memset(header, ' ', sizeof header);
        memcpy(header, wrong[i], strlen(wrong[i]));
        header[TENSOR_HEADER - 1] = '\n';
        assert_false(tensor_form_from_header(&form, (uint8_t *)header));
    }
    memset(header, '1', sizeof header);
    assert_false(tensor_form_from_header(&form, (uint8_t *)header));
    memcpy(header, "f32 ", 4);
    assert_false(tensor_form_from_header(&form, (uint8_t *)header));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_computed),
        cmocka_unit_test(impossible_forms_are_refused),
        cmocka_unit_test(headers_come_back),
        cmocka_unit_test(headers_have_one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
