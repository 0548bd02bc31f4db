/* The base of rotary frequencies: theta in w[i] = theta^(-2i/d), i < d/2 (Su et al. 2021, section 3.2.2). */
#ifndef EMIT_ROTARY_BASE_H
#define EMIT_ROTARY_BASE_H

#include "base/status.h"
#include "ir/tensor.h"

enum { ROTARY_BASE_ULPS = 4, ROTARY_MAX_FREQUENCIES = 1 << 16 };

/* A base such that every frequency is within ROTARY_BASE_ULPS of the formula: the nearest whole number when
 * that fits, else a float. One frequency fits every base: 10000. UNSUPPORTED names the first that deviates.
 */
enum status rotary_base_find(float *out, const struct tensor_view *frequencies,
                             struct trace *trace) MUST_CHECK;

#endif
