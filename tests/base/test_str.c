/* Comparing text, strict numbers, and growing text. */
#include "base/str.h"
#include "tests/support/test.h"
#include <float.h>

static void compares_text(void **state)
{
    (void)state;
    struct str empty = {NULL, 0};
    assert_true(str_equal(empty, STR("")));
    assert_true(str_is(STR("abc"), "abc"));
    assert_false(str_is(STR("abc"), "ab"));
    assert_false(str_equal(STR("a\0b"), STR("a\0c")));
    assert_true(str_starts_with(STR("abc"), "ab"));
    assert_true(str_starts_with(empty, ""));
    assert_false(str_starts_with(STR("ab"), "abc"));
    assert_true(str_ends_with(STR("a.onnx"), ".onnx"));
    assert_true(str_ends_with(empty, ""));
    assert_false(str_ends_with(STR("a.onnx"), ".ir"));
    assert_false(str_ends_with(STR("ir"), ".ir"));
}

static void orders_bytewise_and_shorter_first(void **state)
{
    (void)state;
    assert_true(str_compare(STR("ab"), STR("abc")) < 0);
    assert_true(str_compare(STR("b"), STR("abc")) > 0);
    assert_true(str_compare(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_compare(STR("same"), STR("same")), 0);
    assert_int_equal(str_compare((struct str){NULL, 0}, STR("")), 0);
}

static void reads_unsigned_numbers_strictly(void **state)
{
    (void)state;
    uint64_t value = 5;
    assert_true(str_to_u64(STR("0"), &value));
    assert_int_equal(value, 0);
    assert_true(str_to_u64(STR("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    static const char *const wrong[] = {
        "",    " 1", "1 ", "+1", "-1", "0x1", "1.0", "1e3", "18446744073709551616", "99999999999999999999999",
        "one", "-"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (str_to_u64(str_from(wrong[i]), &value))
            fail_msg("\"%s\" was read as %llu", wrong[i], (unsigned long long)value);
    assert_true(value == UINT64_MAX);
    assert_false(str_to_u64(STR("1\0"), &value));
}

static void reads_signed_numbers_strictly(void **state)
{
    (void)state;
    int64_t value;
    assert_true(str_to_i64(STR("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
    assert_true(str_to_i64(STR("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(str_to_i64(STR("-0"), &value));
    assert_int_equal(value, 0);
    static const char *const wrong[] = {
        "", "-", "--1", "+1", "- 1", "9223372036854775808", "-9223372036854775809"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (str_to_i64(str_from(wrong[i]), &value))
            fail_msg("\"%s\" was read", wrong[i]);
}

static void reads_doubles_strictly(void **state)
{
    (void)state;
    double value;
    assert_true(str_to_double(STR("0.1"), &value));
    assert_true(value == 0.1);
    assert_true(str_to_double(STR("-1e-3"), &value));
    assert_true(value == -0.001);
    assert_true(str_to_double(STR("1.7976931348623157e308"), &value));
    assert_true(value == DBL_MAX);
    static const char *const wrong[] = {"",    " 1",    "1 ", "+1",  "inf", "nan", "1e999", "0x1p3",
                                        "1,5", "1.2.3", "1e", "abc", "-",   ".",   "-inf"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (str_to_double(str_from(wrong[i]), &value))
            fail_msg("\"%s\" was read as %g", wrong[i], value);
    char many[1000];
    memset(many, '1', sizeof many);
    assert_false(str_to_double((struct str){many, sizeof many}, &value));
    assert_false(str_to_double(STR("1\0"), &value));
}

static void reads_only_the_given_length(void **state)
{
    (void)state;
    uint64_t number;
    double value;
    assert_true(str_to_u64((struct str){"1234", 2}, &number));
    assert_int_equal(number, 12);
    assert_true(str_to_double((struct str){"1.5e9", 3}, &value));
    assert_true(value == 1.5);
}

static void builds_text_of_any_length(void **state)
{
    (void)state;
    struct builder b = {0};
    assert_string_equal(builder_text(&b), "");
    for (int i = 0; i < 1000; i++)
        builder_printf(&b, "%d,", i);
    builder_add_text(&b, "end");
    builder_add(&b, "\0x", 2);
    assert_int_equal(b.length, 10 * 2 + 90 * 3 + 900 * 4 + 3 + 2);
    assert_memory_equal(b.data, "0,1,2,", 6);
    assert_memory_equal(b.data + b.length - 5, "end\0x", 6);
    builder_clear(&b);
    assert_string_equal(builder_text(&b), "");
    builder_printf(&b, "%5000s", "x");
    assert_int_equal(strlen(b.data), 5000);
    builder_release(&b);
    builder_release(&b);
}

static void adding_nothing_makes_a_text(void **state)
{
    (void)state;
    struct builder b = {0};
    builder_clear(&b);
    builder_add(&b, NULL, 0);
    assert_string_equal(b.data, "");
    builder_release(&b);
}

static void keeps_of_foreign_texts_what_terminals_only_show(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"plain, \n\t", "plain, \n?"},
        {"a\033[31m\177", "a?[31m?"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\xb3", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\xb3"},
        {"\xc2\x9b"
         "31m\xc2\xa0",
         "??31m\xc2\xa0"}, /* the control sequence introducer in one */
        {"cut \xe2\x82", "cut ??"},
        {"\xc0\xaf \xe0\x9f\xbf \xf0\x8f\xbf\xbf", "?? ??? ????"}, /* overlong */
        {"\xed\xa0\x80 \xf4\x90\x80\x80 \xff", "??? ???? ?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", rows[i].text);
        str_make_printable(text, "\n");
        assert_string_equal(text, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_text),
        cmocka_unit_test(orders_bytewise_and_shorter_first),
        cmocka_unit_test(reads_unsigned_numbers_strictly),
        cmocka_unit_test(reads_signed_numbers_strictly),
        cmocka_unit_test(reads_doubles_strictly),
        cmocka_unit_test(reads_only_the_given_length),
        cmocka_unit_test(builds_text_of_any_length),
        cmocka_unit_test(adding_nothing_makes_a_text),
        cmocka_unit_test(keeps_of_foreign_texts_what_terminals_only_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
