/* Vectors of `real` of the width of this instruction set, and what every kernel does with them.
 *
 * With AVX-512 there are two builds. Both have its 32 registers, for tiles of 12 rows and two vectors: at 512
 * bits (VECTOR_WIDE), and at 256 bits for processors whose units are no wider. Plain loops over rows compile
 * to 512 bits in either. */
#ifndef BACKEND_CPU_KERNELS_VECTOR_H
#define BACKEND_CPU_KERNELS_VECTOR_H

#include "shaders/scalar/real.h"
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#if defined __AVX512VL__ && defined VECTOR_WIDE
#define VECTOR_BYTES 64
#define VECTOR_REGISTERS 32
#define MM(operation) _mm512_##operation
#define BROADCAST_REGISTER "=v"
typedef __mmask16 vec_lanes;
typedef __m512i vec_integers;
#elif defined __AVX512VL__
#define VECTOR_BYTES 32
#define VECTOR_REGISTERS 32
#define MM(operation) _mm256_##operation
#define BROADCAST_REGISTER "=x"
typedef __mmask8 vec_lanes;
typedef __m256i vec_integers;
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

/* *from in every lane. */
static inline __attribute__((always_inline)) vec vec_broadcast(const real *from)
{
#if defined __AVX512VL__ && !defined ESPALIER_DOUBLE
    /* Into one of the lower 16 registers, whatever the compiler would like: the longer encoding that the
     * others need is no plain load on Zen 4 but takes a turn of the unit that multiplies, at 256 bits too. */
    vec value;
    __asm__("vbroadcastss %1, %0" : BROADCAST_REGISTER(value) : "m"(*from));
    return value;
#else
    return *from - (vec){0};
#endif
}

#ifdef ESPALIER_DOUBLE
typedef int64_t vec_mask __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int32_t vec_mask __attribute__((vector_size(VECTOR_BYTES)));
#endif

/* a < b ? b : a */
static inline __attribute__((always_inline)) vec vec_max(vec a, vec b)
{
#if VECTOR_BYTES == 64
    return _mm512_max_ps(b, a);
#elif defined __AVX2__ && !defined ESPALIER_DOUBLE
    return _mm256_max_ps(b, a); /* the second operand unless the first is larger */
#else
    vec_mask smaller = a < b;
    return (vec)((smaller & (vec_mask)b) | (~smaller & (vec_mask)a));
#endif
}

#if defined __AVX512VL__ && !defined ESPALIER_DOUBLE
/* Lanes whose size is at least that of the pattern; NaNs are. */
static inline __attribute__((always_inline)) vec_lanes vec_reaches(vec x, uint least_bits)
{
    vec_integers size = (vec_integers)((vec_mask)x & (int32_t)GM_ABS);
    return MM(cmpge_epu32_mask)(size, MM(set1_epi32)((int32_t)least_bits));
}

/* Where reached: x, with our NaN; +0 elsewhere. The fix-up table has an entry a class of numbers, from the
 * lowest bits on: quiet and signalling NaN take the first operand (0), all others the second (1). */
static inline __attribute__((always_inline)) vec vec_keep(vec x, vec_lanes reached)
{
    return MM(maskz_fixupimm_ps)(reached, (vec)MM(set1_epi32)((int32_t)GM_NAN), x, MM(set1_epi32)(0x11111100),
                                 0);
}

/* r_flush() of each lane. */
static inline __attribute__((always_inline)) vec vec_flush(vec x)
{
    return vec_keep(x, vec_reaches(x, GM_TINY));
}

/* r_flush(r_flush(x) * scale) of each lane; `least` is scaled_least(scale). */
static inline __attribute__((always_inline)) vec vec_flush_scaled(vec x, real scale, uint least_bits)
{
    vec_lanes reached = vec_reaches(x, least_bits);
    return vec_keep(MM(maskz_mul_ps)(reached, x, MM(set1_ps)(scale)), reached);
}
#else
static inline __attribute__((always_inline)) vec vec_flush(vec x)
{
#ifdef ESPALIER_DOUBLE
    return x;
#else
    vec_mask u = (vec_mask)x, a = u & (int32_t)GM_ABS, nan = a > (int32_t)GM_INF;
    return (vec)((u & (a >= (int32_t)GM_TINY) & ~nan) | (nan & (int32_t)GM_NAN));
#endif
}

static inline __attribute__((always_inline)) vec vec_flush_scaled(vec x, real scale, uint least_bits)
{
    (void)least_bits;
    return vec_flush(vec_flush(x) * scale);
}
#endif

/* The smallest size of x, as its bits, for which r_flush(r_flush(x) * scale) is not +0. */
static inline uint scaled_least(float scale)
{
    float size = gm_abs(scale), tiny = gm_float(GM_TINY);
    if (size < gm_float(GM_NORMAL))
        return GM_INF;
    uint u = gm_bits(tiny / size);
    while (u > GM_TINY && gm_float(u - 1) * size >= tiny)
        u--;
    while (gm_float(u) * size < tiny)
        u++;
    return u < GM_TINY ? GM_TINY : u;
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
