/* pipeline/lock.c: the lock file. Writing one and verifying are tested through the program (tests/cli). */
#include "base/file.h"
#include "pipeline/lock.h"
#include "tests/pipeline/fixture.h"

#define HEX32 "0123456789abcdef0123456789abcdef"
#define HEX64 HEX32 HEX32
#define FIRST "espalier-lock 1 golden/1\n"

static enum status read_text(struct fixture *f, const char *text)
{
    assert_ok(file_write(f->lock_file, text, strlen(text), &f->trace), &f->trace);
    lock_release(&f->lock);
    return lock_read(&f->lock, f->lock_file, &f->trace);
}

static void stands_beside_the_pipeline(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"a.yaml", "a.lock"}, {"d/a.b.yaml", "d/a.b.lock"}, {"d.x/a", "d.x/a.lock"}, {"/a.yml", "/a.lock"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *path = lock_path(pairs[i][0]);
        assert_string_equal(path, pairs[i][1]);
        free(path);
    }
}

static void reads_stages_in_order(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, FIRST "b xxh3:" HEX32 " sha256:" HEX64 "\na-1 xxh3:" HEX32 " sha256:" HEX64 "\n"),
              &f->trace);
    assert_int_equal(f->lock.entries.count, 2);
    assert_true(str_is(f->lock.entries.items[0].stage, "b"));
    assert_true(str_is(f->lock.entries.items[1].stage, "a-1"));
    assert_string_equal(f->lock.entries.items[1].sha256, HEX64);
    char hex[HASH128_HEX];
    hash128_to_hex(f->lock.entries.items[0].id, hex);
    assert_string_equal(hex, HEX32);
}

static void rejects_locks_of_another_profile(void **state)
{
    struct fixture *f = *state;
    assert_fails(read_text(f, "espalier-lock 1 golden/0\n"), INVALID, &f->trace, "espalier-lock 1 golden/");
    assert_fails(read_text(f, "espalier-lock 2 golden/1\n"), INVALID, &f->trace, ":1:");
    assert_fails(read_text(f, "\n"), INVALID, &f->trace, ":1:");
    assert_fails(read_text(f, ""), INVALID, &f->trace, "empty");
}

static void rejects_damaged_lines_by_number(void **state)
{
    struct fixture *f = *state;
    const char *const bad[] = {
        "a xxh3:" HEX32,
        "a xxh3:" HEX32 " sha256:" HEX64 " more",
        "a " HEX32 " sha256:" HEX64,
        "a xxh3:0123 sha256:" HEX64,
        "a xxh3:" HEX32 " sha256:" HEX32,
        "a xxh3:" HEX32 " sha256:0123456789ABCDEF" HEX32 "0123456789abcdef",
        " xxh3:" HEX32 " sha256:" HEX64,
        "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[1024];
        snprintf(text, sizeof text, FIRST "ok xxh3:" HEX32 " sha256:" HEX64 "\n%s\n", bad[i]);
        assert_fails(read_text(f, text), INVALID, &f->trace, "x.lock:3: expected");
    }
}

static void missing_lock_is_not_found(void **state)
{
    struct fixture *f = *state;
    assert_fails(lock_read(&f->lock, "/nowhere/x.lock", &f->trace), NOT_FOUND, &f->trace, "/nowhere/x.lock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(stands_beside_the_pipeline),       FIXTURE_TEST(reads_stages_in_order),
        FIXTURE_TEST(rejects_locks_of_another_profile), FIXTURE_TEST(rejects_damaged_lines_by_number),
        FIXTURE_TEST(missing_lock_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
