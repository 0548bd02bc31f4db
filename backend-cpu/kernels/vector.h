/* Vectors of `real` of the width of this instruction set, and what every kernel does with them. */
#ifndef BACKEND_CPU_KERNELS_VECTOR_H
#define BACKEND_CPU_KERNELS_VECTOR_H

#include "shaders/scalar/real.h"
#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#define VECTOR_BYTES 64
#elif defined __AVX2__
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

enum { LANES = VECTOR_BYTES / sizeof(real) };

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real vec_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

static inline __attribute__((always_inline)) vec vec_load(const real *from)
{
    return *(const vec_anywhere *)from;
}

static inline __attribute__((always_inline)) void vec_store(real *to, vec value)
{
    *(vec_anywhere *)to = value;
}

/* A loop whose iterations touch only their own elements, though results may lie over operands. */
#define ELEMENTWISE _Pragma("GCC ivdep")

static inline int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
