/* Locks of running stages, with other processes. */
#include "tests/store/fixture.h"

#include "store/stage_lock.h"

/* A child that holds the lock of `key` until it is killed; returns when it does. */
static pid_t start_holder(struct fixture *f, struct hash128 key)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct stage_lock lock;
        struct trace trace = {0};
        if (stage_lock_try(&lock, f->store, key, &trace) != OK || !lock.is_held)
            _exit(1);
        if (write(ready[1], "x", 1) != 1)
            _exit(2);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void stop(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    wait_child(child);
}

static void is_taken_and_given_back(void **state)
{
    struct fixture *f = *state;
    struct stage_lock lock, second;
    assert_ok(stage_lock_try(&lock, f->store, key_of("k"), &f->trace), &f->trace);
    assert_true(lock.is_held);
    assert_ok(stage_lock_try(&second, f->store, key_of("k"), &f->trace), &f->trace);
    assert_false(second.is_held);
    assert_int_equal(second.holder, getpid());
    stage_lock_release(&second);
    assert_int_equal(count_files(f, "locks"), 2);
    stage_lock_release(&lock);
    stage_lock_release(&lock);
    assert_int_equal(count_files(f, "locks"), 1);
    assert_ok(stage_lock_try(&lock, f->store, key_of("k"), &f->trace), &f->trace);
    assert_true(lock.is_held);
    stage_lock_release(&lock);
}

static void other_process_is_named_and_its_death_frees_the_lock(void **state)
{
    struct fixture *f = *state;
    struct stage_lock lock;
    pid_t child = start_holder(f, key_of("k"));
    assert_ok(stage_lock_try(&lock, f->store, key_of("k"), &f->trace), &f->trace);
    assert_false(lock.is_held);
    assert_int_equal(lock.holder, child);
    stage_lock_release(&lock);
    assert_ok(stage_lock_try(&lock, f->store, key_of("other"), &f->trace), &f->trace);
    assert_true(lock.is_held);
    stage_lock_release(&lock);
    stop(child);
    assert_ok(stage_lock_try(&lock, f->store, key_of("k"), &f->trace), &f->trace);
    assert_true(lock.is_held);
    stage_lock_release(&lock);
}

static void waiting_can_be_interrupted(void **state)
{
    struct fixture *f = *state;
    struct stage_lock lock = {0};
    volatile sig_atomic_t stopped = 1;
    pid_t child = start_holder(f, key_of("k"));
    assert_fails(stage_lock_wait(&lock, f->store, key_of("k"), &stopped, &f->trace), INTERRUPTED, &f->trace,
                 "waiting");
    stop(child);
    assert_ok(stage_lock_wait(&lock, f->store, key_of("k"), &stopped, &f->trace), &f->trace);
    assert_true(lock.is_held);
    stage_lock_release(&lock);
}

static void only_one_of_many_processes_holds_it_at_a_time(void **state)
{
    struct fixture *f = *state;
    enum { CHILDREN = 6, ROUNDS = 20 };
    pid_t children[CHILDREN];
    char *inside = fixture_path(f, "inside");
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        for (int round = 0; round < ROUNDS; round++) {
            struct stage_lock lock;
            struct trace trace = {0};
            do {
                if (stage_lock_try(&lock, f->store, key_of("k"), &trace) != OK)
                    _exit(1);
                if (!lock.is_held)
                    stage_lock_release(&lock);
            } while (!lock.is_held);
            int fd = open(inside, O_CREAT | O_EXCL | O_WRONLY, 0666);
            if (fd < 0)
                _exit(2);
            close(fd);
            unlink(inside);
            stage_lock_release(&lock);
        }
        _exit(0);
    }
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(wait_child(children[i]), 0);
    assert_int_equal(count_files(f, "locks"), 1);
}

static void summary_tells_what_runs_and_removes_what_is_stale(void **state)
{
    struct fixture *f = *state;
    struct stage_lock_summary summary;
    struct stage_lock lock;
    struct hash128 id = fixture_put(f, "text", "used");
    assert_ok(stage_lock_summarise(&summary, &f->arena, f->store, &f->trace), &f->trace);
    assert_true(summary.oldest_ns == INT64_MAX && summary.keys.count == 0);
    stop(start_holder(f, key_of("dead")));
    assert_ok(stage_lock_try(&lock, f->store, key_of("k"), &f->trace), &f->trace);
    assert_ok(stage_lock_use(&lock, id, &f->trace), &f->trace);
    assert_ok(stage_lock_use(&lock, id, &f->trace), &f->trace);
    struct stat st;
    assert_int_equal(stat(lock.path, &st), 0);
    assert_ok(stage_lock_summarise(&summary, &f->arena, f->store, &f->trace), &f->trace);
    assert_int_equal(summary.keys.count, 1);
    assert_true(hash128_equal(summary.keys.items[0], key_of("k")));
    assert_int_equal(summary.used.count, 1);
    assert_true(hash128_equal(summary.used.items[0], id));
    assert_true(summary.oldest_ns <= (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    assert_true(summary.oldest_ns > (int64_t)(st.st_mtim.tv_sec - 10) * 1000000000);
    stage_lock_release(&lock);
    assert_int_equal(count_files(f, "locks"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(is_taken_and_given_back),
        STORE_TEST(other_process_is_named_and_its_death_frees_the_lock),
        STORE_TEST(waiting_can_be_interrupted),
        STORE_TEST(only_one_of_many_processes_holds_it_at_a_time),
        STORE_TEST(summary_tells_what_runs_and_removes_what_is_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
