/* The number type of a kernel text that is compiled twice: as golden float arithmetic and, with
 * -DESPALIER_DOUBLE, as its reference in double with libm, where nothing is flushed. C only. */
#ifndef SHADERS_SCALAR_REAL_H
#define SHADERS_SCALAR_REAL_H

#include "shaders/scalar/scalar.h"

#ifdef ESPALIER_DOUBLE
#include <math.h>

#define GM_REAL double

typedef GM_REAL real;

/* A constant, given as its golden bit pattern; in double it has the same, rounded, value. */
#define R_CONST(bit_pattern) ((real)gm_float(bit_pattern))

// clang-format off
static inline real r_flush(real x) { return x; }
static inline real r_flush_square(real x) { return x; }
static inline real r_exp(real x) { return exp(x); }
static inline real r_log(real x) { return log(x); }
static inline real r_pow(real x, real y) { return pow(x, y); }
static inline real r_pow_int(real x, uint n) { return pow(x, n); }
static inline real r_div(real a, real b) { return a / b; }
static inline real r_rcp(real x) { return 1 / x; }
static inline real r_rcp_normal(real x) { return 1 / x; }
static inline real r_sqrt(real x) { return sqrt(x); }
static inline real r_sqrt_normal(real x) { return sqrt(x); }
static inline real r_rsqrt(real x) { return 1 / sqrt(x); }
static inline real r_sin(real x) { return sin(x); }
static inline real r_cos(real x) { return cos(x); }
static inline real r_tanh(real x) { return tanh(x); }
static inline real r_erf(real x) { return erf(x); }
static inline real r_sigmoid(real x) { return 1 / (1 + exp(-x)); }
static inline real r_silu(real x) { return x / (1 + exp(-x)); }
static inline real r_abs(real x) { return fabs(x); }
static inline real r_max(real a, real b) { return a < b ? b : a; }
static inline real r_min(real a, real b) { return b < a ? b : a; }
static inline real r_from_uint(uint n) { return n; }
static inline real r_from_int(int n) { return n; }
static inline bool r_is_finite(real x) { return isfinite(x); }
// clang-format on

#else

#define GM_REAL float

typedef GM_REAL real;

#define R_CONST(bit_pattern) gm_float(bit_pattern)

// clang-format off
static inline real r_flush(real x) { return gm_flush(x); }
static inline real r_flush_square(real x) { return gm_flush_square(x); }
static inline real r_exp(real x) { return gm_exp(x); }
static inline real r_log(real x) { return gm_log(x); }
static inline real r_pow(real x, real y) { return gm_pow(x, y); }
static inline real r_pow_int(real x, uint n) { return gm_pow_int(x, n); }
static inline real r_div(real a, real b) { return gm_div(a, b); }
static inline real r_rcp(real x) { return gm_rcp(x); }
static inline real r_rcp_normal(real x) { return gm_rcp_normal(x); }
static inline real r_sqrt(real x) { return gm_sqrt(x); }
static inline real r_sqrt_normal(real x) { return gm_sqrt_normal(x); }
static inline real r_rsqrt(real x) { return gm_rsqrt(x); }
static inline real r_sin(real x) { return gm_sin(x); }
static inline real r_cos(real x) { return gm_cos(x); }
static inline real r_tanh(real x) { return gm_tanh(x); }
static inline real r_erf(real x) { return gm_erf(x); }
static inline real r_sigmoid(real x) { return gm_sigmoid(x); }
static inline real r_silu(real x) { return gm_silu(x); }
static inline real r_abs(real x) { return gm_abs(x); }
static inline real r_max(real a, real b) { return gm_max(a, b); }
static inline real r_min(real a, real b) { return gm_min(a, b); }
static inline real r_from_uint(uint n) { return gm_from_uint(n); }
static inline real r_from_int(int n) { return gm_from_int(n); }
static inline bool r_is_finite(real x) { return gm_is_finite(x); }
// clang-format on

#endif

#endif
