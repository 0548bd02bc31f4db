/* Ids as text, and finding them in text. */
#include "tests/support/test.h"

#include "store/id.h"

static const char example[] = "xxh3:20c7455408b040e09cf0fe4dc11b54a7";

static void text_comes_back(void **state)
{
    (void)state;
    struct hash128 id;
    char text[STORE_ID_TEXT];
    assert_true(store_id_from_text(str_from(example), &id));
    assert_true(id.high == 0x20c7455408b040e0 && id.low == 0x9cf0fe4dc11b54a7);
    store_id_to_text(id, text);
    assert_string_equal(text, example);
}

static void refuses_other_spellings(void **state)
{
    (void)state;
    struct hash128 id;
    static const char *const wrong[] = {"",
                                        "xxh3:",
                                        "20c7455408b040e09cf0fe4dc11b54a7",
                                        "xxh3:20C7455408B040E09CF0FE4DC11B54A7",
                                        "xxh3:20c7455408b040e09cf0fe4dc11b54a",
                                        "xxh3:20c7455408b040e09cf0fe4dc11b54a70",
                                        "XXH3:20c7455408b040e09cf0fe4dc11b54a7"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(store_id_from_text(str_from(wrong[i]), &id));
}

static void order_is_that_of_the_text(void **state)
{
    (void)state;
    struct hash128 a = {1, 2}, b = {1, 3}, c = {2, 0};
    assert_true(store_id_compare(a, b) < 0 && store_id_compare(b, c) < 0 && store_id_compare(c, a) > 0);
    assert_int_equal(store_id_compare(a, a), 0);
}

static int count_ids(const char *text)
{
    struct hash128 id;
    int count = 0;
    for (size_t at = 0; store_id_scan(&id, str_from(text), &at);)
        count++;
    return count;
}

static void scan_finds_ids_anywhere(void **state)
{
    (void)state;
    char text[256];
    assert_int_equal(count_ids(example), 1);
    snprintf(text, sizeof text, "{\"a\":\"%s\",%s} %s", example, example, example);
    assert_int_equal(count_ids(text), 3);
}

static void scan_passes_over_what_is_no_id(void **state)
{
    (void)state;
    char text[256];
    assert_int_equal(count_ids(""), 0);
    assert_int_equal(count_ids("xxh3:"), 0);
    assert_int_equal(count_ids("xxh3:20c7455408b040e09cf0fe4dc11b54a"), 0);
    snprintf(text, sizeof text, "file-%s", example);
    assert_int_equal(count_ids(text), 0);
    snprintf(text, sizeof text, "xxh3:20c7%s", example);
    assert_int_equal(count_ids(text), 0);
    snprintf(text, sizeof text, "xxh3: %s", example);
    assert_int_equal(count_ids(text), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back),
        cmocka_unit_test(refuses_other_spellings),
        cmocka_unit_test(order_is_that_of_the_text),
        cmocka_unit_test(scan_finds_ids_anywhere),
        cmocka_unit_test(scan_passes_over_what_is_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
