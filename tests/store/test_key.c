/* Results by key, and run records. */
#include "tests/store/fixture.h"

#include "store/key.h"

static struct store_result two_outputs(struct fixture *f)
{
    struct store_result result = {0};
    char sha256[SHA256_HEX];
    struct hash128 id;
    assert_ok(store_put(&id, sha256, f->store, "model", "weights", 7, &f->trace), &f->trace);
    store_result_add(&result, &f->arena, "model", id, sha256);
    store_result_add(&result, &f->arena, "report \"q\" \xc3\xa9", fixture_put(f, "report", "good"), NULL);
    return result;
}

static void result_comes_back(void **state)
{
    struct fixture *f = *state;
    struct store_result result = two_outputs(f), back;
    assert_ok(store_key_put(f->store, key_of("k"), &result, &f->trace), &f->trace);
    assert_ok(store_key_find(&back, &f->arena, f->store, key_of("k"), &f->trace), &f->trace);
    assert_int_equal(back.outputs.count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_string_equal(back.outputs.items[i].name, result.outputs.items[i].name);
        assert_string_equal(back.outputs.items[i].sha256, result.outputs.items[i].sha256);
        assert_true(hash128_equal(back.outputs.items[i].id, result.outputs.items[i].id));
    }
    assert_ptr_equal(store_result_find(&back, "model"), &back.outputs.items[0]);
    assert_null(store_result_find(&back, "other"));
}

static void absent_key_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct store_result back;
    assert_fails(store_key_find(&back, &f->arena, f->store, key_of("k"), &f->trace), NOT_FOUND, &f->trace,
                 "no result");
}

static void equal_results_are_one_object_and_later_ones_replace(void **state)
{
    struct fixture *f = *state;
    struct store_result result = two_outputs(f), other = {0}, back;
    assert_ok(store_key_put(f->store, key_of("a"), &result, &f->trace), &f->trace);
    int objects = count_files(f, "objects");
    assert_ok(store_key_put(f->store, key_of("b"), &result, &f->trace), &f->trace);
    assert_int_equal(count_files(f, "objects"), objects);
    assert_ok(store_key_put(f->store, key_of("a"), &other, &f->trace), &f->trace);
    assert_ok(store_key_find(&back, &f->arena, f->store, key_of("a"), &f->trace), &f->trace);
    assert_int_equal(back.outputs.count, 0);
}

static void outputs_must_be_in_the_store(void **state)
{
    struct fixture *f = *state;
    struct store_result result = {0};
    store_result_add(&result, &f->arena, "model", key_of("nothing"), NULL);
    assert_fails(store_key_put(f->store, key_of("k"), &result, &f->trace), NOT_FOUND, &f->trace, "\"model\"");
    assert_int_equal(count_files(f, "keys"), 0);
}

static void an_incomplete_result_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct store_result result = two_outputs(f), back;
    assert_ok(store_key_put(f->store, key_of("k"), &result, &f->trace), &f->trace);
    assert_int_equal(unlink(fixture_object_path(f, "objects", result.outputs.items[0].id)), 0);
    assert_fails(store_key_find(&back, &f->arena, f->store, key_of("k"), &f->trace), CORRUPT, &f->trace,
                 "fsck --repair");
}

static void a_missing_or_damaged_result_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct store_result result = two_outputs(f), back;
    struct hash128 id;
    assert_ok(store_key_put(f->store, key_of("k"), &result, &f->trace), &f->trace);
    assert_ok(store_key_read(&id, f->store, key_of("k"), &f->trace), &f->trace);
    flip_byte(fixture_object_path(f, "objects", id), 80);
    assert_fails(store_key_find(&back, &f->arena, f->store, key_of("k"), &f->trace), CORRUPT, &f->trace,
                 "damaged");
    assert_int_equal(unlink(fixture_object_path(f, "objects", id)), 0);
    assert_fails(store_key_find(&back, &f->arena, f->store, key_of("k"), &f->trace), CORRUPT, &f->trace,
                 "is not in the store");
}

static void a_damaged_key_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct store_result result = two_outputs(f), back;
    assert_ok(store_key_put(f->store, key_of("k"), &result, &f->trace), &f->trace);
    char *path = fixture_object_path(f, "keys", key_of("k"));
    for (long at = 0; at < STORE_ID_TEXT; at++) {
        flip_byte(path, at);
        assert_int_equal(store_key_find(&back, &f->arena, f->store, key_of("k"), &f->trace), CORRUPT);
        flip_byte(path, at);
    }
    static const char *const wrong[] = {"", "\n",
                                        "xxh3:", "a line that is longer than the text of an id could be\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_text(path, wrong[i]);
        assert_fails(store_key_find(&back, &f->arena, f->store, key_of("k"), &f->trace), CORRUPT, &f->trace,
                     path);
    }
}

/* Objects that hash right but do not say what a result says. */
static void a_result_of_another_form_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct store_result back;
    static const char *const wrong[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"outputs\":3}",
                                        "{\"outputs\":[3]}",
                                        "{\"outputs\":[{\"name\":\"a\"}]}",
                                        "{\"outputs\":[{\"name\":\"a\",\"id\":\"xxh3:12\"}]}",
                                        "{\"outputs\":[]} more"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(
            store_result_read(&back, &f->arena, f->store, fixture_put(f, "result", wrong[i]), &f->trace),
            CORRUPT, &f->trace, "not a list of outputs");
}

static void names_that_are_not_utf8_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store_result result = {0};
    store_result_add(&result, &f->arena, "\xff", fixture_put(f, "text", "x"), NULL);
    assert_fails(store_key_put(f->store, key_of("k"), &result, &f->trace), INVALID, &f->trace, "UTF-8");
}

static void records_are_replaced_and_not_hashed(void **state)
{
    struct fixture *f = *state;
    struct builder text = {0};
    assert_fails(store_record_read(&text, f->store, key_of("k"), &f->trace), NOT_FOUND, &f->trace, "records");
    assert_ok(store_record_write(f->store, key_of("k"), STR("{\"seconds\":1}"), &f->trace), &f->trace);
    assert_ok(store_record_write(f->store, key_of("k"), STR("{\"seconds\":2}"), &f->trace), &f->trace);
    assert_ok(store_record_read(&text, f->store, key_of("k"), &f->trace), &f->trace);
    assert_string_equal(builder_text(&text), "{\"seconds\":2}");
    assert_int_equal(count_files(f, "objects"), 0);
    assert_int_equal(count_files(f, "records"), 1);
    builder_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(result_comes_back),
        STORE_TEST(absent_key_is_not_found),
        STORE_TEST(equal_results_are_one_object_and_later_ones_replace),
        STORE_TEST(outputs_must_be_in_the_store),
        STORE_TEST(an_incomplete_result_is_corrupt),
        STORE_TEST(a_missing_or_damaged_result_is_corrupt),
        STORE_TEST(a_damaged_key_is_corrupt),
        STORE_TEST(a_result_of_another_form_is_corrupt),
        STORE_TEST(names_that_are_not_utf8_are_refused),
        STORE_TEST(records_are_replaced_and_not_hashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
