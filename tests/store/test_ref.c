/* Names for ids. */
#include "tests/store/fixture.h"

#include "store/ref.h"

static void is_set_replaced_and_removed(void **state)
{
    struct fixture *f = *state;
    struct hash128 a = fixture_put(f, "text", "a"), b = fixture_put(f, "text", "b"), found;
    assert_fails(store_ref_find(&found, f->store, "teacher", &f->trace), NOT_FOUND, &f->trace, "\"teacher\"");
    assert_ok(store_ref_set(f->store, "teacher", a, &f->trace), &f->trace);
    assert_ok(store_ref_set(f->store, "teacher", b, &f->trace), &f->trace);
    assert_ok(store_ref_find(&found, f->store, "teacher", &f->trace), &f->trace);
    assert_true(hash128_equal(found, b));
    assert_ok(store_ref_remove(f->store, "teacher", &f->trace), &f->trace);
    assert_ok(store_ref_remove(f->store, "teacher", &f->trace), &f->trace);
    assert_fails(store_ref_find(&found, f->store, "teacher", &f->trace), NOT_FOUND, &f->trace, "no ref");
}

static void names_that_could_leave_the_folder_are_refused(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = fixture_put(f, "text", "a");
    char longest[162];
    memset(longest, 'a', 161);
    longest[161] = '\0';
    const char *const wrong[] = {"", ".", "..", "../x", "a/b", ".hidden", "a b", "a\n", "\xc3\xa9", longest};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_fails(store_ref_set(f->store, wrong[i], id, &f->trace), INVALID, &f->trace,
                     "cannot name a ref");
        assert_fails(store_ref_find(&id, f->store, wrong[i], &f->trace), INVALID, &f->trace,
                     "cannot name a ref");
        assert_fails(store_ref_remove(f->store, wrong[i], &f->trace), INVALID, &f->trace,
                     "cannot name a ref");
    }
    longest[160] = '\0';
    assert_ok(store_ref_set(f->store, longest, id, &f->trace), &f->trace);
}

static void absent_object_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_fails(store_ref_set(f->store, "r", key_of("x"), &f->trace), NOT_FOUND, &f->trace, "no object");
}

static void damage_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = fixture_put(f, "text", "a");
    assert_ok(store_ref_set(f->store, "r", id, &f->trace), &f->trace);
    write_text(fixture_path(f, "store/refs/r"), "teacher\n");
    assert_fails(store_ref_find(&id, f->store, "r", &f->trace), CORRUPT, &f->trace, "refs/r");
}

static void list_is_sorted(void **state)
{
    struct fixture *f = *state;
    struct store_refs refs;
    assert_ok(store_ref_list(&refs, &f->arena, f->store, &f->trace), &f->trace);
    assert_int_equal(refs.names.count, 0);
    struct hash128 id = fixture_put(f, "text", "a");
    assert_ok(store_ref_set(f->store, "b", id, &f->trace), &f->trace);
    assert_ok(store_ref_set(f->store, "a", id, &f->trace), &f->trace);
    assert_ok(store_ref_set(f->store, "B", id, &f->trace), &f->trace);
    assert_ok(store_ref_list(&refs, &f->arena, f->store, &f->trace), &f->trace);
    assert_int_equal(refs.names.count, 3);
    assert_string_equal(refs.names.items[0], "B");
    assert_string_equal(refs.names.items[1], "a");
    assert_string_equal(refs.names.items[2], "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(is_set_replaced_and_removed),
        STORE_TEST(names_that_could_leave_the_folder_are_refused),
        STORE_TEST(absent_object_is_refused),
        STORE_TEST(damage_is_corrupt),
        STORE_TEST(list_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
