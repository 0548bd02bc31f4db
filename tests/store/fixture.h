/* A fresh store in a temporary directory, for the tests of store/. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "tests/support/test.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "store/object.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct fixture {
    char *directory; /* holds the store in "store" and what else a test makes */
    struct store *store;
    struct arena arena;
    struct trace trace;
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    log_set_level(LOG_QUIET);
    f->directory = test_directory_create();
    assert_ok(
        store_open(&f->store, arena_printf(&f->arena, "%s/store", f->directory), STORE_CREATE, &f->trace),
        &f->trace);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    test_directory_remove(f->directory);
    arena_release(&f->arena);
    free(f);
    return 0;
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* DIRECTORY/name, on the fixture's arena. */
static inline char *fixture_path(struct fixture *f, const char *name)
{
    return arena_printf(&f->arena, "%s/%s", f->directory, name);
}

static inline char *fixture_object_path(struct fixture *f, const char *folder, struct hash128 id)
{
    char hex[HASH128_HEX];
    hash128_to_hex(id, hex);
    return arena_printf(&f->arena, "%s/%s/%.2s/%s", store_path(f->store), folder, hex, hex + 2);
}

static inline struct hash128 fixture_put(struct fixture *f, const char *kind, const char *text)
{
    struct hash128 id;
    assert_ok(store_put(&id, NULL, f->store, kind, text, strlen(text), &f->trace), &f->trace);
    return id;
}

/* Changes one bit of a file in place. */
static inline void flip_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int c = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    fputc(c ^ 1, file);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* Sets the mtime `seconds` back from now. */
static inline void make_old(const char *path, long seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec -= seconds;
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){now, now}, 0), 0);
}

/* Regular files below STORE/folder. */
static inline int count_files(struct fixture *f, const char *folder)
{
    char *command =
        arena_printf(&f->arena, "find '%s/%s' -type f 2>/dev/null | wc -l", store_path(f->store), folder);
    FILE *pipe = popen(command, "r");
    int count = -1;
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

static inline struct hash128 key_of(const char *text)
{
    return hash128_of(text, strlen(text));
}

/* The wait status of a child, which leaves with _exit(). */
static inline int wait_child(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

#endif
