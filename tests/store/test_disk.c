/* Calls to the file system: what they say when it refuses. */
#include "tests/store/fixture.h"

#include "store/disk.h"

static void lists_in_bytewise_order(void **state)
{
    struct fixture *f = *state;
    struct disk_names names;
    assert_int_equal(mkdir(fixture_path(f, "d"), 0777), 0);
    static const char *const files[] = {"d/b", "d/B", "d/a", "d/.x"};
    for (int i = 0; i < 4; i++)
        write_text(fixture_path(f, files[i]), "");
    for (int i = 0; i < 40; i++)
        write_text(fixture_path(f, arena_printf(&f->arena, "d/n%02d", i)), "");
    assert_ok(disk_list(&names, &f->arena, fixture_path(f, "d"), &f->trace), &f->trace);
    assert_int_equal(names.count, 44);
    for (size_t i = 1; i < names.count; i++)
        assert_true(strcmp(names.names[i - 1], names.names[i]) < 0);
    assert_string_equal(names.names[0], ".x");
    assert_string_equal(names.names[1], "B");
}

static void an_absent_directory_is_empty_and_a_file_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct disk_names names;
    assert_ok(disk_list(&names, &f->arena, fixture_path(f, "none"), &f->trace), &f->trace);
    assert_int_equal(names.count, 0);
    write_text(fixture_path(f, "file"), "");
    assert_fails(disk_list(&names, &f->arena, fixture_path(f, "file"), &f->trace), INVALID, &f->trace,
                 "Not a directory");
}

static void facts_tell_absence_from_refusal(void **state)
{
    struct fixture *f = *state;
    struct disk_facts facts;
    write_text(fixture_path(f, "file"), "12345");
    make_old(fixture_path(f, "file"), 10);
    assert_ok(disk_facts(&facts, fixture_path(f, "file"), &f->trace), &f->trace);
    assert_true(facts.size == 5 && facts.is_regular && !facts.is_directory);
    int64_t before = facts.mtime_ns;
    assert_ok(disk_touch(fixture_path(f, "file"), &f->trace), &f->trace);
    assert_ok(disk_facts(&facts, fixture_path(f, "file"), &f->trace), &f->trace);
    assert_true(facts.mtime_ns > before + 5000000000);
    assert_fails(disk_facts(&facts, fixture_path(f, "none"), &f->trace), NOT_FOUND, &f->trace, "none");
    assert_fails(disk_facts(&facts, fixture_path(f, "file/x"), &f->trace), INVALID, &f->trace,
                 "Not a directory");
}

static void removing_and_moving(void **state)
{
    struct fixture *f = *state;
    write_text(fixture_path(f, "file"), "12345");
    assert_ok(disk_move(fixture_path(f, "file"), fixture_path(f, "moved"), &f->trace), &f->trace);
    assert_int_equal(disk_move(fixture_path(f, "file"), fixture_path(f, "moved"), &f->trace), NOT_FOUND);
    assert_ok(disk_remove(fixture_path(f, "moved"), &f->trace), &f->trace);
    assert_ok(disk_remove(fixture_path(f, "moved"), &f->trace), &f->trace);
    assert_int_equal(disk_remove(f->directory, &f->trace), INVALID);
}

static void locks_exclude_as_they_say(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "lock");
    int a, b, c;
    assert_ok(disk_lock_file(&a, path, DISK_SHARED, DISK_WAIT, &f->trace), &f->trace);
    assert_ok(disk_lock_file(&b, path, DISK_SHARED, DISK_TRY, &f->trace), &f->trace);
    assert_ok(disk_lock_file(&c, path, DISK_EXCLUSIVE, DISK_TRY, &f->trace), &f->trace);
    assert_true(a >= 0 && b >= 0 && c == -1);
    disk_close(a);
    disk_close(b);
    assert_ok(disk_lock_file(&c, path, DISK_EXCLUSIVE, DISK_TRY, &f->trace), &f->trace);
    assert_true(c >= 0 && disk_same_file(c, path));
    assert_ok(disk_lock_file(&a, path, DISK_SHARED, DISK_TRY, &f->trace), &f->trace);
    assert_int_equal(a, -1);
    assert_int_equal(unlink(path), 0);
    assert_false(disk_same_file(c, path));
    write_text(path, "");
    assert_false(disk_same_file(c, path));
    disk_close(c);
    assert_int_equal(disk_lock_file(&a, fixture_path(f, "none/lock"), DISK_SHARED, DISK_WAIT, &f->trace),
                     NOT_FOUND);
    assert_int_equal(a, -1);
}

static void overwriting_replaces_all(void **state)
{
    struct fixture *f = *state;
    struct builder text = {0};
    char *path = fixture_path(f, "lock");
    write_text(path, "a long text that was there");
    int fd = open(path, O_RDWR);
    assert_ok(disk_overwrite(fd, "short", 5, path, &f->trace), &f->trace);
    close(fd);
    assert_ok(file_read(&text, path, 100, &f->trace), &f->trace);
    assert_string_equal(builder_text(&text), "short");
    builder_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(lists_in_bytewise_order),
        STORE_TEST(an_absent_directory_is_empty_and_a_file_is_an_error),
        STORE_TEST(facts_tell_absence_from_refusal),
        STORE_TEST(removing_and_moving),
        STORE_TEST(locks_exclude_as_they_say),
        STORE_TEST(overwriting_replaces_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
