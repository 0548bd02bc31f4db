/* What a rewrite did to the model: logits of both on a fixed probe batch. */
#ifndef MEASURE_PROBE_H
#define MEASURE_PROBE_H

#include "base/status.h"
#include "ir/executor.h"
#include <stdint.h>

/* 2 sequences of 64 tokens drawn by Philox from what both vocabularies hold. */
enum { PROBE_ROWS = 2, PROBE_LENGTH = 64 };

struct probe {
    double drift;      /* max |logit difference| over the columns both have */
    double largest;    /* max |logit| before */
    double divergence; /* mean KL(before || after) in nats per token; NaN-free: 0 when vocabularies differ in
                          size */
    int64_t columns;   /* compared */
};

/* `kept` maps the columns of `after` to those of `before` (vocabulary pruning), or NULL when they are the
 * same. */
enum status measure_probe(struct probe *out, struct executor *executor, const struct graph *before,
                          const struct graph *after, const uint32_t *kept, uint32_t kept_count,
                          struct trace *trace) MUST_CHECK;

#endif
