/* Paths in a store, and the listing of its folders. */
#include "tests/store/fixture.h"

#include "store/layout.h"

static const struct hash128 hash = {0x20c7455408b040e0, 0x9cf0fe4dc11b54a7};

static void paths_are_the_documented_ones(void **state)
{
    struct fixture *f = *state;
    const char *root = store_path(f->store);
    size_t length = strlen(root);
    const char *path = layout_fan_path(&f->arena, f->store, "objects", hash);
    assert_memory_equal(path, root, length);
    assert_string_equal(path + length, "/objects/20/c7455408b040e09cf0fe4dc11b54a7");
    path = layout_flat_path(&f->arena, f->store, "records", hash, ".json");
    assert_string_equal(path + length, "/records/20c7455408b040e09cf0fe4dc11b54a7.json");
    assert_string_equal(layout_path(&f->arena, f->store, "refs", "x") + length, "/refs/x");
}

static void text_appears_whole_with_its_directories(void **state)
{
    struct fixture *f = *state;
    struct builder text = {0};
    char *path = layout_fan_path(&f->arena, f->store, "keys", hash);
    assert_ok(layout_write_text(f->store, path, "one", 3, &f->trace), &f->trace);
    assert_ok(layout_write_text(f->store, path, "three", 5, &f->trace), &f->trace);
    assert_ok(file_read(&text, path, 100, &f->trace), &f->trace);
    assert_string_equal(builder_text(&text), "three");
    assert_int_equal(count_files(f, "tmp"), 0);
    assert_int_equal(count_files(f, "keys"), 1);
    builder_release(&text);
}

static void lists_only_what_has_the_form_of_a_hash(void **state)
{
    struct fixture *f = *state;
    struct layout_hashes hashes;
    char *path = layout_fan_path(&f->arena, f->store, "keys", hash);
    assert_ok(layout_write_text(f->store, path, "", 0, &f->trace), &f->trace);
    write_text(arena_printf(&f->arena, "%s.tmp", path), "");
    write_text(fixture_path(f, "store/keys/20/short"), "");
    write_text(fixture_path(f, "store/keys/20/C7455408b040e09cf0fe4dc11b54a7"), "");
    assert_ok(layout_list_fan(&hashes, &f->arena, f->store, "keys", &f->trace), &f->trace);
    assert_int_equal(hashes.count, 1);
    assert_true(hash128_equal(hashes.items[0], hash));
    path = layout_flat_path(&f->arena, f->store, "records", hash, ".json");
    assert_ok(layout_write_text(f->store, path, "", 0, &f->trace), &f->trace);
    write_text(fixture_path(f, "store/records/20c7455408b040e09cf0fe4dc11b54a7"), "");
    assert_ok(layout_list_flat(&hashes, &f->arena, f->store, "records", ".json", &f->trace), &f->trace);
    assert_int_equal(hashes.count, 1);
    assert_ok(layout_list_flat(&hashes, &f->arena, f->store, "none", "", &f->trace), &f->trace);
    assert_int_equal(hashes.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(paths_are_the_documented_ones),
        STORE_TEST(text_appears_whole_with_its_directories),
        STORE_TEST(lists_only_what_has_the_form_of_a_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
