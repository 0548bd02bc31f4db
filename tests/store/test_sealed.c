/* Small files with a seal. */
#include "tests/store/fixture.h"

#include "store/sealed.h"

static void comes_back(void **state)
{
    struct fixture *f = *state;
    json_t *root;
    char *path = fixture_path(f, "store/inputs/x");
    assert_ok(sealed_write(f->store, path, json_pack("{s:i, s:s}", "a", 1, "b", "\xc3\xa9"), &f->trace),
              &f->trace);
    assert_ok(sealed_read(&root, path, &f->trace), &f->trace);
    assert_int_equal(json_integer_value(json_object_get(root, "a")), 1);
    json_decref(root);
}

static void the_seal_is_the_hash_of_the_line(void **state)
{
    struct fixture *f = *state;
    struct builder text = {0};
    char *path = fixture_path(f, "store/inputs/x"), hex[HASH128_HEX];
    assert_ok(sealed_write(f->store, path, json_pack("{s:i}", "a", 1), &f->trace), &f->trace);
    assert_ok(file_read(&text, path, 1000, &f->trace), &f->trace);
    hash128_to_hex(hash128_of("{\"a\":1}\n", 8), hex);
    assert_string_equal(builder_text(&text), arena_printf(&f->arena, "{\"a\":1}\nxxh3:%s\n", hex));
    builder_release(&text);
}

static void every_change_and_every_cut_is_corrupt(void **state)
{
    struct fixture *f = *state;
    json_t *root;
    char *path = fixture_path(f, "store/inputs/x");
    assert_ok(sealed_write(f->store, path, json_pack("{s:i}", "a", 1), &f->trace), &f->trace);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    for (long at = 0; at < st.st_size; at++) {
        flip_byte(path, at);
        assert_fails(sealed_read(&root, path, &f->trace), CORRUPT, &f->trace, path);
        assert_null(root);
        flip_byte(path, at);
    }
    assert_ok(sealed_read(&root, path, &f->trace), &f->trace);
    json_decref(root);
    for (long size = st.st_size - 1; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        assert_fails(sealed_read(&root, path, &f->trace), CORRUPT, &f->trace, path);
    }
}

static void absence_and_text_that_is_not_utf8(void **state)
{
    struct fixture *f = *state;
    json_t *root;
    char *path = fixture_path(f, "store/inputs/x");
    assert_int_equal(sealed_read(&root, path, &f->trace), NOT_FOUND);
    assert_fails(sealed_write(f->store, path, json_pack("{s:s}", "a", "\xff"), &f->trace), INVALID, &f->trace,
                 "UTF-8");
    assert_false(file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(comes_back),
        STORE_TEST(the_seal_is_the_hash_of_the_line),
        STORE_TEST(every_change_and_every_cut_is_corrupt),
        STORE_TEST(absence_and_text_that_is_not_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
