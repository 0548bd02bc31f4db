/* Vectors of `real` of the width of this instruction set, and what every kernel does with them.
 *
 * With AVX-512 it is its 32 registers that are used, at 256 bits: a product and a sum apiece in a tile of 12
 * x 16 then reach the ceiling of Zen 4, where a 512-bit broadcast takes a turn of the unit that multiplies
 * (0.67 of it at 512 bits). Plain loops over rows still compile to 512 bits. */
#ifndef BACKEND_CPU_KERNELS_VECTOR_H
#define BACKEND_CPU_KERNELS_VECTOR_H

#include "shaders/scalar/real.h"
#include <stdint.h>
#include <string.h>

#if defined __AVX512VL__
#define VECTOR_BYTES 32
#define VECTOR_REGISTERS 32
#elif defined __AVX2__
#define VECTOR_BYTES 32
#define VECTOR_REGISTERS 16
#else
#define VECTOR_BYTES 16
#define VECTOR_REGISTERS 16
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

#ifdef ESPALIER_DOUBLE
typedef int64_t vec_mask __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int32_t vec_mask __attribute__((vector_size(VECTOR_BYTES)));
#endif

/* a < b ? b : a */
static inline __attribute__((always_inline)) vec vec_max(vec a, vec b)
{
    vec_mask smaller = a < b;
    return (vec)((smaller & (vec_mask)b) | (~smaller & (vec_mask)a));
}

/* r_flush() of each lane. */
static inline __attribute__((always_inline)) vec vec_flush(vec x)
{
#ifdef ESPALIER_DOUBLE
    return x;
#else
    vec_mask u = (vec_mask)x, a = u & (int32_t)GM_ABS, nan = a > (int32_t)GM_INF;
    return (vec)((u & (a >= (int32_t)GM_TINY) & ~nan) | (nan & (int32_t)GM_NAN));
#endif
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
