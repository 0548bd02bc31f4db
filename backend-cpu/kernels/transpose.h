/* A few rows turned into columns: to[j * to_step + i] = from[i * from_step + j] for i < rows, j < columns.
 * Squares of four go through registers; nothing else of `to` is written. */
#ifndef BACKEND_CPU_KERNELS_TRANSPOSE_H
#define BACKEND_CPU_KERNELS_TRANSPOSE_H

#include "backend-cpu/kernels/vector.h"

enum { SQUARE = 4 };

#ifdef ESPALIER_DOUBLE
static inline void transpose_square(real *to, int64_t to_step, const real *from, int64_t from_step)
{
    for (int64_t i = 0; i < SQUARE; i++)
        for (int64_t j = 0; j < SQUARE; j++)
            to[j * to_step + i] = from[i * from_step + j];
}
#else
typedef real quad __attribute__((vector_size(SQUARE * sizeof(real))));
typedef real quad_anywhere
    __attribute__((vector_size(SQUARE * sizeof(real)), aligned(sizeof(real)), may_alias));

static inline __attribute__((always_inline)) quad quad_load(const real *from)
{
    return *(const quad_anywhere *)from;
}

static inline __attribute__((always_inline)) void quad_store(real *to, quad value)
{
    *(quad_anywhere *)to = value;
}

static inline __attribute__((always_inline)) void transpose_square(real *to, int64_t to_step,
                                                                   const real *from, int64_t from_step)
{
    quad a = quad_load(from), b = quad_load(from + from_step);
    quad c = quad_load(from + 2 * from_step), d = quad_load(from + 3 * from_step);
    quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
         ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
         cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    quad_store(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
    quad_store(to + to_step, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
    quad_store(to + 2 * to_step, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
    quad_store(to + 3 * to_step, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}
#endif

static inline void transpose(real *to, int64_t to_step, const real *from, int64_t from_step, int64_t rows,
                             int64_t columns)
{
    int64_t whole_rows = rows / SQUARE * SQUARE, whole_columns = columns / SQUARE * SQUARE;
    for (int64_t j = 0; j < whole_columns; j += SQUARE)
        for (int64_t i = 0; i < whole_rows; i += SQUARE)
            transpose_square(to + j * to_step + i, to_step, from + i * from_step + j, from_step);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            to[j * to_step + i] = from[i * from_step + j];
}

#endif
