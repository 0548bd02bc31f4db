/* A pool of threads that lives as long as its executor, and a parallel loop over it.
 *
 * The loop hands out ranges of [0, count) of at least `grain` items, first come first served; the caller
 * works too. Which thread gets which range is left to chance, so a kernel's result must not depend on it: an
 * output element is computed by one call from its inputs alone. A pool belongs to one caller at a time.
 *
 * Scratch is memory that a kernel needs while it runs: one buffer for each thread and a shared one. It grows
 * and is kept; exhausted host memory aborts. */
#ifndef BACKEND_CPU_THREADS_H
#define BACKEND_CPU_THREADS_H

#include "base/status.h"
#include <stdint.h>

struct cpu_threads;

enum { CPU_MAX_THREADS = 256, CPU_SCRATCH_SHARED = UINT32_MAX };

/* Items [first, end) on thread number `thread` < count of threads. */
typedef void cpu_range_function(void *payload, int64_t first, int64_t end, uint32_t thread);

/* `count` threads, the caller included; 0 means one for each processor that this process may use. */
enum status cpu_threads_create(struct cpu_threads **out, uint32_t count, struct trace *trace) MUST_CHECK;
void cpu_threads_destroy(struct cpu_threads *threads); /* accepts NULL */
uint32_t cpu_threads_count(const struct cpu_threads *threads);

void cpu_threads_for(struct cpu_threads *threads, int64_t count, int64_t grain, cpu_range_function *function,
                     void *payload);

/* At least `bytes`, aligned to 64, of `thread` or CPU_SCRATCH_SHARED; its content is undefined. A thread asks
 * for its own only, the shared one is asked for outside of loops. Asking again may move it. */
void *cpu_threads_scratch(struct cpu_threads *threads, uint32_t thread, size_t bytes);

#endif
