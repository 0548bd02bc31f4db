#include "bench/ceiling.h"
#include "backend-cpu/isa.h"
#include <stdlib.h>
#include <time.h>

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double bench_best_rate(bench_work *work, void *payload)
{
    enum { REPEATS = 7, MINIMUM_MILLISECONDS = 20 };
    double best = 0;
    work(payload);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        int64_t calls = 0;
        double start = bench_seconds(), elapsed;
        do {
            work(payload);
            calls++;
            elapsed = bench_seconds() - start;
        } while (elapsed * 1000 < MINIMUM_MILLISECONDS);
        double rate = (double)calls / elapsed;
        best = rate > best ? rate : best;
    }
    return best;
}

/* ---- arithmetic: chains in registers, as many as hide their latency ---- */

enum { CHAINS = 12, STEPS = 100000, TASKS = 16 };

/* `step` is one link of a chain: sum from sum, x and y. The compiler must not see that all links are equal.
 */
#define DEFINE_CHAINS(name, target, bytes, step)                      \
    typedef float vector_##name __attribute__((vector_size(bytes)));  \
    target static float chains_##name(void)                           \
    {                                                                 \
        vector_##name sums[CHAINS] = {0}, x, y;                       \
        for (unsigned i = 0; i < sizeof x / sizeof(float); i++)       \
            x[i] = 0.5f, y[i] = 0.25f;                                \
        for (int i = 0; i < STEPS; i++) {                             \
            _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; c++) \
            {                                                         \
                vector_##name sum = sums[c];                          \
                __asm__ volatile("" : "+v"(x), "+v"(y));              \
                step;                                                 \
                sums[c] = sum;                                        \
            }                                                         \
        }                                                             \
        for (int c = 1; c < CHAINS; c++)                              \
            sums[0] += sums[c];                                       \
        return sums[0][0];                                            \
    }
#define SEPARATE                          \
    __typeof__(x) product = x * y;        \
    __asm__ volatile("" : "+v"(product)); \
    sum = sum + product
#define FUSED __asm__ volatile("vfmadd231ps %1, %2, %0" : "+v"(sum) : "v"(x), "v"(y))

DEFINE_CHAINS(default, , 16, SEPARATE)
#if defined __x86_64__
DEFINE_CHAINS(avx2, __attribute__((target("avx2"))), 32, SEPARATE)
DEFINE_CHAINS(avx512, __attribute__((target("avx512f"))), 64, SEPARATE)
DEFINE_CHAINS(avx2_fused, __attribute__((target("avx2,fma"))), 32, FUSED)
DEFINE_CHAINS(avx512_fused, __attribute__((target("avx512f"))), 64, FUSED)
#endif

struct chains {
    float (*run)(void);
    int lanes;
    enum cpu_isa isa; /* that has such vectors */
    enum numerics numerics;
};

static const struct chains all_chains[] = {
    {chains_default, 4, CPU_ISA_default, NUMERICS_GOLDEN},
#if defined __x86_64__
    {chains_avx2, 8, CPU_ISA_avx2, NUMERICS_GOLDEN},
    {chains_avx512, 16, CPU_ISA_avx512, NUMERICS_GOLDEN},
    {chains_avx2_fused, 8, CPU_ISA_avx2_fused, NUMERICS_FAST},
    {chains_avx512_fused, 16, CPU_ISA_avx512_fused, NUMERICS_FAST},
#endif
};

struct chains_run {
    struct cpu_threads *threads;
    const struct chains *chains;
    volatile float sink;
};

static void run_chains_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    struct chains_run *run = payload;
    for (int64_t i = first; i < end; i++)
        run->sink = run->chains->run();
}

static void run_chains(void *payload)
{
    struct chains_run *run = payload;
    cpu_threads_for(run->threads, TASKS, 1, run_chains_range, run);
}

/* The best of all widths: wide vectors are no faster everywhere. */
static double best_chains(struct cpu_threads *threads, enum numerics numerics)
{
    double best = 0;
    for (size_t i = 0; i < sizeof all_chains / sizeof *all_chains; i++) {
        struct chains_run run = {.threads = threads, .chains = &all_chains[i]};
        if (all_chains[i].numerics != numerics || !cpu_isa_is_available(all_chains[i].isa, numerics))
            continue;
        double rate = bench_best_rate(run_chains, &run) * 2.0 * CHAINS * STEPS * all_chains[i].lanes * TASKS;
        best = rate > best ? rate : best;
    }
    return best;
}

double ceiling_separate(struct cpu_threads *threads)
{
    return best_chains(threads, NUMERICS_GOLDEN);
}

double ceiling_fused(struct cpu_threads *threads)
{
    return best_chains(threads, NUMERICS_FAST);
}

/* ---- memory ---- */

enum { ARRAY = 1 << 24, ARRAYS = 3 };

struct sums {
    struct cpu_threads *threads;
    float *arrays[ARRAYS];
};

static void add_range(void *payload, int64_t first, int64_t end, uint32_t thread)
{
    (void)thread;
    const struct sums *s = payload;
    float *restrict a = s->arrays[0];
    const float *restrict b = s->arrays[1], *restrict c = s->arrays[2];
    for (int64_t i = first; i < end; i++)
        a[i] = b[i] + c[i];
}

static void add_arrays(void *payload)
{
    struct sums *s = payload;
    cpu_threads_for(s->threads, ARRAY, 1 << 14, add_range, s);
}

double ceiling_bandwidth(struct cpu_threads *threads)
{
    struct sums s = {.threads = threads};
    double rate = 0;
    for (int i = 0; i < ARRAYS; i++) {
        s.arrays[i] = malloc(ARRAY * sizeof(float));
        for (int64_t j = 0; s.arrays[i] && j < ARRAY; j++)
            s.arrays[i][j] = (float)j; /* zeros would all be one page */
    }
    if (s.arrays[0] && s.arrays[1] && s.arrays[2])
        rate = bench_best_rate(add_arrays, &s) * ARRAYS * ARRAY * sizeof(float);
    for (int i = 0; i < ARRAYS; i++)
        free(s.arrays[i]);
    return rate;
}
