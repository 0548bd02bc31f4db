/* What is added to attention scores before the softmax, read at the probes: what hides keys, and what falls
 * with the distance between query and key by a slope for each head (ALiBi, Press et al. 2022). */
#ifndef FRONTEND_MASKS_H
#define FRONTEND_MASKS_H

#include "frontend/importer.h"

/* Output 0 is the scores plus input `slot`; `map` turns an element of it into what is added, NULL: itself. */
enum status masks_add(struct rule *rule, const struct import_value *scores, uint32_t slot,
                      const double map[2]) MUST_CHECK;
/* The same for a mask that an operator says in words: causal, with a window or without (0). */
enum status masks_add_triangle(struct rule *rule, const struct import_value *scores,
                               int64_t window) MUST_CHECK;

/* What lies between a softmax and the scores. */
struct masking {
    uint32_t scores; /* term */
    double scale, softcap;
    int64_t window;  /* positions that a query sees at most; 0: all before */
    uint32_t slopes; /* 1 + number of the importer's slopes; 0: none */
};

/* `term` is what the softmax is taken of. The masks are summed, and must be causal. */
enum status masks_collect(struct masking *out, struct rule *rule, uint32_t term) MUST_CHECK;

#endif
