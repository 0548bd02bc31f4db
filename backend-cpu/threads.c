/* The thread pool: workers spin for a few microseconds, then sleep on a condition. A worker joins a loop only
 * while it is open, so the caller never waits for one that is still waking up. */
#include "backend-cpu/threads.h"
#include "backend-cpu/room.h"
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS_BEFORE_SLEEP = 1000, SPINS_BEFORE_YIELD = 2000, RANGES_PER_THREAD = 8 };

struct scratch {
    void *bytes;
    size_t size;
};

struct loop {
    cpu_range_function *function;
    void *payload;
    int64_t count, step;
};

struct worker {
    struct cpu_threads *threads;
    pthread_t handle;
    uint32_t number;
};

struct cpu_threads {
    uint32_t count, started;
    struct worker *workers;  /* count - 1, numbered from 1; the caller is thread 0 */
    struct scratch *scratch; /* one a thread, then the shared one */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct loop loop;       /* valid while open */
    bool open;              /* under lock */
    uint32_t sleeping;      /* under lock */
    atomic_uint generation; /* rises when a loop opens and when the pool ends */
    atomic_uint inside;     /* workers in the loop; raised under lock */
    atomic_bool stop;
    _Alignas(64) atomic_llong next;
};

static void relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#endif
}

static void take_ranges(struct cpu_threads *threads, const struct loop *loop, uint32_t number)
{
    for (;;) {
        int64_t first = atomic_fetch_add_explicit(&threads->next, loop->step, memory_order_relaxed);
        if (first >= loop->count)
            return;
        int64_t end = first + loop->step < loop->count ? first + loop->step : loop->count;
        loop->function(loop->payload, first, end, number);
    }
}

/* Returns the generation after `seen`, having waited for it. */
static unsigned wait_for_loop(struct cpu_threads *threads, unsigned seen)
{
    for (unsigned spin = 0; spin < SPINS_BEFORE_SLEEP; spin++) {
        unsigned now = atomic_load_explicit(&threads->generation, memory_order_acquire);
        if (now != seen)
            return now;
        relax();
    }
    pthread_mutex_lock(&threads->lock);
    threads->sleeping++;
    while (atomic_load(&threads->generation) == seen)
        pthread_cond_wait(&threads->wake, &threads->lock);
    threads->sleeping--;
    pthread_mutex_unlock(&threads->lock);
    return atomic_load(&threads->generation);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct cpu_threads *threads = worker->threads;
    unsigned seen = 0;
    while (!atomic_load(&threads->stop)) {
        seen = wait_for_loop(threads, seen);
        pthread_mutex_lock(&threads->lock);
        bool joined = threads->open;
        struct loop loop = threads->loop;
        if (joined)
            atomic_fetch_add(&threads->inside, 1);
        pthread_mutex_unlock(&threads->lock);
        if (joined) {
            take_ranges(threads, &loop, worker->number);
            atomic_fetch_sub_explicit(&threads->inside, 1, memory_order_release);
        }
    }
    return NULL;
}

static uint32_t processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > CPU_MAX_THREADS ? CPU_MAX_THREADS : (uint32_t)count;
}

static void *allocate(size_t count, size_t size)
{
    void *bytes = calloc(count, size);
    if (!bytes)
        BUG("out of memory: %zu times %zu bytes for the thread pool", count, size);
    return bytes;
}

enum status cpu_threads_create(struct cpu_threads **out, uint32_t count, struct trace *trace)
{
    if (count > CPU_MAX_THREADS)
        return status_fail(trace, INVALID, "threads: expected at most %d, found %u", CPU_MAX_THREADS, count);
    if (count == 0)
        count = processors();
    struct cpu_threads *threads = aligned_alloc(64, (sizeof *threads + 63) / 64 * 64);
    if (!threads)
        BUG("out of memory: the thread pool");
    *threads = (struct cpu_threads){.count = count};
    threads->workers = allocate(count, sizeof *threads->workers);
    threads->scratch = allocate(count + 1, sizeof *threads->scratch);
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->wake, NULL);
    for (uint32_t i = 1; i < count; i++) {
        struct worker *worker = &threads->workers[i - 1];
        *worker = (struct worker){.threads = threads, .number = i};
        int error = pthread_create(&worker->handle, NULL, worker_main, worker);
        if (error) {
            cpu_threads_destroy(threads);
            return status_fail(trace, DEVICE, "cannot start thread %u of %u: error %d", i, count, error);
        }
        threads->started++;
    }
    *out = threads;
    return OK;
}

void cpu_threads_destroy(struct cpu_threads *threads)
{
    if (!threads)
        return;
    pthread_mutex_lock(&threads->lock);
    atomic_store(&threads->stop, true);
    atomic_fetch_add(&threads->generation, 1);
    pthread_cond_broadcast(&threads->wake);
    pthread_mutex_unlock(&threads->lock);
    for (uint32_t i = 0; i < threads->started; i++)
        pthread_join(threads->workers[i].handle, NULL);
    for (uint32_t i = 0; i <= threads->count; i++)
        free(threads->scratch[i].bytes);
    pthread_cond_destroy(&threads->wake);
    pthread_mutex_destroy(&threads->lock);
    free(threads->scratch);
    free(threads->workers);
    free(threads);
}

uint32_t cpu_threads_count(const struct cpu_threads *threads)
{
    return threads->count;
}

static void wait_until_empty(struct cpu_threads *threads)
{
    for (unsigned spin = 0; atomic_load_explicit(&threads->inside, memory_order_acquire) != 0; spin++) {
        relax();
        if (spin > SPINS_BEFORE_YIELD)
            sched_yield();
    }
}

void cpu_threads_for(struct cpu_threads *threads, int64_t count, int64_t grain, cpu_range_function *function,
                     void *payload)
{
    assert(grain > 0);
    if (count <= 0)
        return;
    if (threads->count == 1 || count <= grain) {
        function(payload, 0, count, 0);
        return;
    }
    int64_t step = count / ((int64_t)threads->count * RANGES_PER_THREAD);
    struct loop loop = {function, payload, count, step < grain ? grain : step};
    pthread_mutex_lock(&threads->lock);
    threads->loop = loop;
    atomic_store(&threads->next, 0);
    threads->open = true;
    atomic_fetch_add_explicit(&threads->generation, 1, memory_order_release);
    if (threads->sleeping > 0)
        pthread_cond_broadcast(&threads->wake);
    pthread_mutex_unlock(&threads->lock);

    take_ranges(threads, &loop, 0);

    pthread_mutex_lock(&threads->lock);
    threads->open = false;
    pthread_mutex_unlock(&threads->lock);
    wait_until_empty(threads);
}

void *cpu_threads_scratch(struct cpu_threads *threads, uint32_t thread, size_t bytes)
{
    struct scratch *scratch = &threads->scratch[thread == CPU_SCRATCH_SHARED ? threads->count : thread];
    if (scratch->size < bytes) {
        free(scratch->bytes);
        scratch->size = bytes;
        scratch->bytes = room_allocate(bytes);
        if (!scratch->bytes)
            BUG("out of memory: %zu bytes of kernel scratch", scratch->size);
    }
    return scratch->bytes;
}
