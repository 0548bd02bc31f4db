/* Sums over rows, P_t of ir/ops.def: blocks of 512 rows are summed one by one, each ascending, and then
 * added. Blocks are independent, so threads share them. */
#ifndef BACKEND_CPU_KERNELS_COLUMNS_H
#define BACKEND_CPU_KERNELS_COLUMNS_H

#include "backend-cpu/kernels.h"

/* Adds the terms of row `t` to sum [columns], each once. */
typedef void columns_add_function(const void *payload, int64_t t, int64_t columns, real *sum);

/* out [groups, columns]: for each group of `rows` consecutive rows the unflushed sums; terms must not read
 * `out`. */
#define columns_sum KERNEL(columns_sum)
void columns_sum(struct cpu_threads *threads, real *out, int64_t groups, int64_t rows, int64_t columns,
                 columns_add_function *add, const void *payload);

#endif
