/* Listing a store, and ids from their first digits. */
#include "tests/store/fixture.h"

#include "store/external.h"
#include "store/list.h"

static void lists_everything_once_in_order(void **state)
{
    struct fixture *f = *state;
    struct store_listing listing;
    enum { COUNT = 200 };
    assert_ok(store_list(&listing, &f->arena, f->store, &f->trace), &f->trace);
    assert_int_equal(listing.entries.count, 0);
    for (int i = 0; i < COUNT; i++)
        fixture_put(f, "text", arena_printf(&f->arena, "%d", i));
    char *path = fixture_path(f, "file");
    write_text(path, "12345678");
    struct hash128 both, outside;
    assert_ok(store_put_external(&outside, f->store, path, 0, "f32", 1, (int64_t[]){2}, &f->trace),
              &f->trace);
    assert_ok(store_put_external(&both, f->store, path, 4, "f32", 1, (int64_t[]){1}, &f->trace), &f->trace);
    assert_ok(store_put_tensor(&both, f->store, "f32", 1, (int64_t[]){1}, "5678", &f->trace), &f->trace);
    assert_ok(store_list(&listing, &f->arena, f->store, &f->trace), &f->trace);
    assert_int_equal(listing.entries.count, COUNT + 2);
    int externals = 0;
    for (uint32_t i = 0; i < listing.entries.count; i++) {
        struct store_entry *entry = &listing.entries.items[i];
        assert_true(i == 0 || store_id_compare(entry[-1].id, entry->id) < 0);
        externals += entry->is_external;
        if (hash128_equal(entry->id, outside) || hash128_equal(entry->id, both)) {
            assert_string_equal(entry->kind, "tensor");
            assert_int_equal(entry->size, hash128_equal(entry->id, both) ? 68 : 72);
        } else {
            assert_string_equal(entry->kind, "text");
        }
    }
    assert_int_equal(externals, 1);
}

static void a_damaged_header_and_foreign_files_do_not_stop_it(void **state)
{
    struct fixture *f = *state;
    struct store_listing listing;
    struct hash128 id = fixture_put(f, "text", "x");
    flip_byte(fixture_object_path(f, "objects", id), 3);
    write_text(fixture_path(f, "store/objects/README"), "hello");
    assert_int_equal(mkdir(fixture_path(f, "store/objects/zz"), 0777), 0);
    write_text(fixture_path(f, "store/objects/zz/c7455408b040e09cf0fe4dc11b54a7"), "hello");
    assert_ok(store_list(&listing, &f->arena, f->store, &f->trace), &f->trace);
    assert_int_equal(listing.entries.count, 1);
    assert_string_equal(listing.entries.items[0].kind, "");
}

static void unique_prefix_is_found(void **state)
{
    struct fixture *f = *state;
    struct hash128 id, found;
    id = fixture_put(f, "text", "hello\n");
    fixture_put(f, "text", "another");
    static const char *const prefixes[] = {"20c7", "xxh3:20c7", "20c7455408",
                                           "20c7455408b040e09cf0fe4dc11b54a7",
                                           "xxh3:20c7455408b040e09cf0fe4dc11b54a7"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        assert_ok(store_find_prefix(&found, f->store, str_from(prefixes[i]), &f->trace), &f->trace);
        assert_true(hash128_equal(found, id));
    }
}

static void wrong_prefixes_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct hash128 found;
    fixture_put(f, "text", "hello\n");
    assert_fails(store_find_prefix(&found, f->store, STR("ffff"), &f->trace), NOT_FOUND, &f->trace,
                 "\"ffff\"");
    static const char *const wrong[] = {
        "", "20c", "20C7", "xxh3:", "xxh3:20c", "20c7x", "x20c7455408", "20c7455408b040e09cf0fe4dc11b54a70"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(store_find_prefix(&found, f->store, str_from(wrong[i]), &f->trace), INVALID, &f->trace,
                     "not the beginning of an id");
}

/* Names are enough: looking up a prefix reads no object. */
static void ambiguous_prefix_names_candidates(void **state)
{
    struct fixture *f = *state;
    struct hash128 found;
    static const char *const names[] = {"store/objects/ab/cd0000000000000000000000000000",
                                        "store/objects/ab/cd0000000000000000000000000001",
                                        "store/objects/ab/ce0000000000000000000000000000"};
    fixture_put(f, "text", "makes the directory");
    mkdir(fixture_path(f, "store/objects/ab"), 0777);
    for (int i = 0; i < 3; i++)
        write_text(fixture_path(f, names[i]), "");
    assert_fails(store_find_prefix(&found, f->store, STR("abcd"), &f->trace), INVALID, &f->trace,
                 "xxh3:abcd0000000000000000000000000000 and xxh3:abcd0000000000000000000000000001");
    assert_ok(store_find_prefix(&found, f->store, STR("abce"), &f->trace), &f->trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(lists_everything_once_in_order),
        STORE_TEST(a_damaged_header_and_foreign_files_do_not_stop_it),
        STORE_TEST(unique_prefix_is_found),
        STORE_TEST(wrong_prefixes_are_told_apart),
        STORE_TEST(ambiguous_prefix_names_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
