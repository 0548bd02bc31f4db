/* Opening stores, and what is not one. */
#include "store/input.h"
#include "store/key.h"
#include "store/ref.h"
#include "tests/store/fixture.h"

static void creates_and_opens_again(void **state)
{
    struct fixture *f = *state;
    struct store *again;
    struct builder text = {0};
    assert_ok(store_open(&again, store_path(f->store), STORE_EXISTING, &f->trace), &f->trace);
    assert_string_equal(store_path(again), store_path(f->store));
    assert_ok(file_read(&text, fixture_path(f, "store/format"), 100, &f->trace), &f->trace);
    assert_string_equal(builder_text(&text), "espalier-store 1\n");
    builder_release(&text);
    store_close(again);
}

static void creates_parents_and_takes_an_empty_directory(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    assert_ok(store_open(&store, fixture_path(f, "a/b/c"), STORE_CREATE, &f->trace), &f->trace);
    store_close(store);
    assert_int_equal(mkdir(fixture_path(f, "empty"), 0777), 0);
    assert_ok(store_open(&store, fixture_path(f, "empty"), STORE_CREATE, &f->trace), &f->trace);
    store_close(store);
}

static void existing_mode_makes_nothing(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    assert_fails(store_open(&store, fixture_path(f, "none"), STORE_EXISTING, &f->trace), NOT_FOUND, &f->trace,
                 "there is no store at");
    assert_false(file_exists(fixture_path(f, "none")));
    assert_int_equal(mkdir(fixture_path(f, "empty"), 0777), 0);
    assert_fails(store_open(&store, fixture_path(f, "empty"), STORE_EXISTING, &f->trace), NOT_FOUND,
                 &f->trace, "is not a store");
    assert_null(store);
}

static void looking_makes_nothing(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct hash128 id;
    struct store_result result;
    assert_ok(store_open(&store, fixture_path(f, "none"), STORE_LOOK, &f->trace), &f->trace);
    assert_fails(store_key_find(&result, &f->arena, store, key_of("k"), &f->trace), NOT_FOUND, &f->trace, "");
    assert_fails(store_put(&id, NULL, store, "text", "x", 1, &f->trace), IO, &f->trace, "to be looked at");
    store_close(store);
    assert_false(file_exists(fixture_path(f, "none")));
    assert_int_equal(mkdir(fixture_path(f, "empty"), 0777), 0);
    assert_ok(store_open(&store, fixture_path(f, "empty"), STORE_LOOK, &f->trace), &f->trace);
    store_close(store);
    assert_false(file_exists(fixture_path(f, "empty/format")));
}

static void looking_at_a_store_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct store_input input;
    struct hash128 id = fixture_put(f, "text", "here");
    char *path = fixture_path(f, "input");
    write_text(path, "x");
    make_old(path, 100);
    assert_ok(store_open(&store, store_path(f->store), STORE_LOOK, &f->trace), &f->trace);
    assert_true(store_has_object(store, id));
    assert_ok(store_input_hash(&input, store, path, INPUT_REMEMBERED, &f->trace), &f->trace);
    assert_int_equal(count_files(f, "inputs"), 0);
    assert_fails(store_ref_set(store, "name", id, &f->trace), IO, &f->trace, "to be looked at");
    store_close(store);
}

static void looking_still_refuses_what_is_no_store(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    write_text(fixture_path(f, "file"), "x");
    assert_fails(store_open(&store, fixture_path(f, "file"), STORE_LOOK, &f->trace), INVALID, &f->trace,
                 "is a file");
    assert_fails(store_open(&store, f->directory, STORE_LOOK, &f->trace), INVALID, &f->trace, "file");
}

static void refuses_a_file_and_an_empty_path(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    write_text(fixture_path(f, "file"), "x");
    assert_fails(store_open(&store, fixture_path(f, "file"), STORE_CREATE, &f->trace), INVALID, &f->trace,
                 "is a file");
    assert_fails(store_open(&store, "", STORE_CREATE, &f->trace), INVALID, &f->trace, "empty");
    assert_fails(store_open(&store, fixture_path(f, "file/below"), STORE_CREATE, &f->trace), INVALID,
                 &f->trace, "Not a directory");
}

static void refuses_a_directory_of_other_things(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    assert_int_equal(mkdir(fixture_path(f, "home"), 0777), 0);
    write_text(fixture_path(f, "home/letter.txt"), "dear");
    assert_fails(store_open(&store, fixture_path(f, "home"), STORE_CREATE, &f->trace), INVALID, &f->trace,
                 "letter.txt");
    assert_false(file_exists(fixture_path(f, "home/format")));
}

static void refuses_a_later_format_untouched(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct builder text = {0};
    char *path = fixture_path(f, "store/format");
    write_text(path, "espalier-store 2\n");
    assert_fails(store_open(&store, store_path(f->store), STORE_CREATE, &f->trace), UNSUPPORTED, &f->trace,
                 "format 2");
    assert_ok(file_read(&text, path, 100, &f->trace), &f->trace);
    assert_string_equal(builder_text(&text), "espalier-store 2\n");
    builder_release(&text);
}

static void refuses_a_damaged_format(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    static const char *const wrong[] = {
        "", "\n", "espalier-store ", "espalier-store x\n", "espalier-store 0\n", "espalier-store 1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_text(fixture_path(f, "store/format"), wrong[i]);
        assert_fails(store_open(&store, store_path(f->store), STORE_CREATE, &f->trace), CORRUPT, &f->trace,
                     "expected \"espalier-store 1\"");
    }
}

static void too_little_space_is_told_with_the_purpose(void **state)
{
    struct fixture *f = *state;
    assert_ok(store_require_space(f->store, 1, "the stage distill", &f->trace), &f->trace);
    assert_fails(store_require_space(f->store, UINT64_MAX, "the stage distill", &f->trace), IO, &f->trace,
                 "the stage distill needs 18446744073709551615 bytes");
    assert_int_equal(status_exit_code(IO), 3);
}

/* As an ordinary user, since root may write everywhere. */
static void without_permission_is_io(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = fixture_put(f, "text", "before");
    assert_int_equal(chmod(f->directory, 0755), 0);
    char *command = arena_printf(&f->arena, "chmod -R a-w '%s'", store_path(f->store));
    assert_int_equal(system(command), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        struct store_object object;
        struct hash128 other;
        struct trace trace = {0};
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(9);
        if (store_open(&store, store_path(f->store), STORE_EXISTING, &trace) != OK)
            _exit(1);
        if (store_open_object(&object, store, id, "text", OBJECT_VERIFY, &trace) != OK)
            _exit(2);
        if (store_put(&other, NULL, store, "text", "after", 5, &trace) != IO ||
            !strstr(trace.text, "Permission denied"))
            _exit(3);
        _exit(store_open(&store, fixture_path(f, "new"), STORE_CREATE, &trace) == IO ? 0 : 4);
    }
    int status = wait_child(child);
    assert_int_equal(system(arena_printf(&f->arena, "chmod -R u+w '%s'", store_path(f->store))), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_files(f, "objects"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(creates_and_opens_again),
        STORE_TEST(creates_parents_and_takes_an_empty_directory),
        STORE_TEST(existing_mode_makes_nothing),
        STORE_TEST(looking_makes_nothing),
        STORE_TEST(looking_at_a_store_writes_nothing),
        STORE_TEST(looking_still_refuses_what_is_no_store),
        STORE_TEST(refuses_a_file_and_an_empty_path),
        STORE_TEST(refuses_a_directory_of_other_things),
        STORE_TEST(refuses_a_later_format_untouched),
        STORE_TEST(refuses_a_damaged_format),
        STORE_TEST(too_little_space_is_told_with_the_purpose),
        STORE_TEST(without_permission_is_io),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
