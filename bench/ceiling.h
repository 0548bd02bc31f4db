/* What the processor can do at most, and how rates are taken: for the benchmarks of kernels. */
#ifndef BENCH_CEILING_H
#define BENCH_CEILING_H

#include "backend-cpu/threads.h"

double bench_seconds(void); /* of a clock that only goes forward */

typedef void bench_work(void *payload);
/* Calls a second, the best of several repeats of at least 20 ms each, after one call that is not counted. */
double bench_best_rate(bench_work *work, void *payload);

/* Operations a second in registers, on all threads: a multiplication and then an addition, each rounded
 * (golden numerics), and both in one rounding, which is 0 where the processor cannot. */
double ceiling_separate(struct cpu_threads *threads);
double ceiling_fused(struct cpu_threads *threads);
/* Bytes a second of a = b + c on arrays of 64 MB, read and written bytes each once. 0 without memory. */
double ceiling_bandwidth(struct cpu_threads *threads);

#endif
