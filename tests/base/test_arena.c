/* Alignment, zeroing, reuse, and that pieces do not overlap. */
#include "base/arena.h"
#include "tests/support/test.h"
#include <signal.h>
#include <sys/wait.h>

static void aligns_and_zeroes(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *memory = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
    }
    arena_release(&arena);
}

static void pieces_do_not_overlap(void **state)
{
    (void)state;
    enum { PIECES = 2000 };
    struct arena arena = {0};
    unsigned char *pieces[PIECES];
    size_t sizes[PIECES];
    for (int i = 0; i < PIECES; i++) {
        sizes[i] = (size_t)(i * 37 % 5000) + (i % 400 == 0 ? 3000000 : 0);
        pieces[i] = arena_alloc(&arena, sizes[i]);
        memset(pieces[i], i % 251, sizes[i]);
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            if (pieces[i][j] != i % 251)
                fail_msg("piece %d was overwritten at %zu", i, j);
    arena_release(&arena);
}

static void counts_what_it_hands_out(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_alloc(&arena, 100);
    arena_alloc(&arena, 1);
    assert_int_equal(arena.used, 112 + 16);
    arena_release(&arena);
    assert_int_equal(arena.used, 0);
}

static void reset_memory_is_zero_again(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            unsigned char *memory = arena_alloc(&arena, 999);
            for (size_t j = 0; j < 999; j++)
                assert_int_equal(memory[j], 0);
            memset(memory, 1, 999);
        }
        arena_reset(&arena);
        assert_int_equal(arena.used, 0);
    }
    arena_release(&arena);
}

static void release_and_reset_accept_zeroed_memory(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_reset(&arena);
    arena_release(&arena);
    arena_release(&arena);
}

static void copies_and_formats_text(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_string_equal(arena_copy_string(&arena, "hello world", 5), "hello");
    assert_string_equal(arena_copy_string(&arena, NULL, 0), "");
    assert_string_equal(arena_printf(&arena, "%s-%03d", "n", 7), "n-007");
    char *wide = arena_printf(&arena, "%9000d", 1);
    assert_int_equal(strlen(wide), 9000);
    arena_release(&arena);
}

static bool aborts(size_t count, size_t size)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct arena arena = {0};
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        arena_array(&arena, count, size);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void overflowing_arrays_abort(void **state)
{
    (void)state;
    assert_false(aborts(10, 10));
    assert_true(aborts(SIZE_MAX / 2 + 1, 2));
    assert_true(aborts(SIZE_MAX, 1));
    assert_true(aborts(SIZE_MAX - 8, 1));
    assert_true(aborts((size_t)1 << 33, (size_t)1 << 33));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligns_and_zeroes),
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(counts_what_it_hands_out),
        cmocka_unit_test(reset_memory_is_zero_again),
        cmocka_unit_test(release_and_reset_accept_zeroed_memory),
        cmocka_unit_test(copies_and_formats_text),
        cmocka_unit_test(overflowing_arrays_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
