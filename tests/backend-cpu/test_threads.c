/* The thread pool: every item exactly once, whatever the sizes, however often. */
#include "backend-cpu/threads.h"
#include "tests/support/test.h"
#include <stdatomic.h>

enum { ITEMS = 5000 };

struct visits {
    _Atomic unsigned char seen[ITEMS];
    _Atomic uint32_t largest_thread;
    struct cpu_threads *threads;
};

static void visit(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    struct visits *v = payload;
    uint32_t *scratch = cpu_threads_scratch(v->threads, thread, 64 * sizeof *scratch);
    scratch[63] = thread;
    for (int64_t i = first; i < end; i++)
        v->seen[i]++;
    uint32_t largest = v->largest_thread;
    while (thread > largest && !atomic_compare_exchange_weak(&v->largest_thread, &largest, thread))
        ;
    assert_int_equal(scratch[63], thread);
}

static void visits_every_item_once(void **state)
{
    (void)state;
    static struct visits v;
    for (uint32_t count = 1; count <= 5; count++) {
        struct trace trace = {0};
        assert_ok(cpu_threads_create(&v.threads, count, &trace), &trace);
        assert_int_equal(cpu_threads_count(v.threads), count);
        for (int round = 0; round < 300; round++) {
            int64_t items = round * 17 % ITEMS, grain = 1 + round % 7;
            memset((void *)v.seen, 0, sizeof v.seen);
            cpu_threads_for(v.threads, items, grain, visit, &v);
            for (int64_t i = 0; i < ITEMS; i++)
                assert_int_equal(v.seen[i], i < items);
            assert_true(v.largest_thread < count);
        }
        cpu_threads_destroy(v.threads);
    }
}

static void sleeping_threads_wake_up(void **state)
{
    (void)state;
    static struct visits v;
    struct trace trace = {0};
    assert_ok(cpu_threads_create(&v.threads, 3, &trace), &trace);
    for (int round = 0; round < 5; round++) {
        usleep(2000);
        memset((void *)v.seen, 0, sizeof v.seen);
        cpu_threads_for(v.threads, ITEMS, 1, visit, &v);
        for (int64_t i = 0; i < ITEMS; i++)
            assert_int_equal(v.seen[i], 1);
    }
    cpu_threads_destroy(v.threads);
}

static void scratch_is_aligned_and_grows(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *threads = NULL;
    assert_ok(cpu_threads_create(&threads, 2, &trace), &trace);
    char *own = cpu_threads_scratch(threads, 0, 100),
         *shared = cpu_threads_scratch(threads, CPU_SCRATCH_SHARED, 100);
    assert_ptr_not_equal(own, shared);
    assert_int_equal((uintptr_t)own % 64, 0);
    assert_ptr_equal(own, cpu_threads_scratch(threads, 0, 50));
    char *larger = cpu_threads_scratch(threads, 0, 1 << 20);
    assert_int_equal((uintptr_t)larger % 64, 0);
    memset(larger, 1, 1 << 20);
    cpu_threads_destroy(threads);
}

static void refuses_too_many_threads(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct cpu_threads *threads = NULL;
    assert_fails(cpu_threads_create(&threads, CPU_MAX_THREADS + 1, &trace), INVALID, &trace, "at most 256");
    cpu_threads_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(visits_every_item_once),
        cmocka_unit_test(sleeping_threads_wake_up),
        cmocka_unit_test(scratch_is_aligned_and_grows),
        cmocka_unit_test(refuses_too_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
