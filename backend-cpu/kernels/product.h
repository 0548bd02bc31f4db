/* A matrix product y[m][n] = P_k a(m, k) * b(k, n), and the ways to divide it among threads. */
#ifndef BACKEND_CPU_KERNELS_PRODUCT_H
#define BACKEND_CPU_KERNELS_PRODUCT_H

#include "backend-cpu/kernels/tile.h"

struct product {
    const real *a;
    int64_t a_row, a_column;
    real *c; /* [rows, columns] */
    int64_t rows, columns, depth;
    struct panels b;
    struct cpu_threads *threads;
    int64_t task_rows, task_panels, tasks_across;
};

/* Rows [row, row + rows) of a, columns [k, k + depth): to[tile][depth][TILE_ROWS]. */
#define product_pack KERNEL(product_pack)
void product_pack(const struct product *product, real *to, int64_t row, int64_t rows, int64_t k,
                  int64_t depth);

/* Any product. Threads take rectangles of y. */
#define product_multiply KERNEL(product_multiply)
void product_multiply(struct product *product);

#endif
