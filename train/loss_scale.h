/* Dynamic scaling of the loss, for executors whose products round their operands to half precision: gradients
 * below 2^-24 would be lost there. The tokens' weights are multiplied by a power of two, so that all
 * gradients are, exactly; the update divides by it with the step's total weight. A step that overflows is run
 * again with half the factor, on the same data, so no data are lost and every step is taken once; after some
 * steps without, the factor doubles. It is part of the state of training. */
#ifndef TRAIN_LOSS_SCALE_H
#define TRAIN_LOSS_SCALE_H

#include "ir/executor.h"
#include <stdbool.h>
#include <stdint.h>

enum { LOSS_SCALE_FIRST = 1 << 16, LOSS_SCALE_STEPS = 2000, LOSS_SCALE_MOST = 1 << 24 };

struct loss_scale_options {
    uint32_t first; /* factor, a power of two; 0: LOSS_SCALE_FIRST */
    uint32_t steps; /* without overflow, after which it doubles; 0: LOSS_SCALE_STEPS */
};

struct loss_scale {
    uint32_t factor; /* a power of two; 1 for ever where nothing is scaled */
    uint32_t good;   /* steps since it changed */
    uint32_t again;  /* times that a step was run again */
    uint32_t steps;  /* after which it doubles; 0: never scaled */
};

/* Scales only where operands are half precision. */
void loss_scale_start(struct loss_scale *out, const struct loss_scale_options *options,
                      enum operands operands);
static inline bool loss_scale_is_used(const struct loss_scale *scale)
{
    return scale->steps > 0;
}
/* After a step that overflowed; false where there is nothing left to halve. */
bool loss_scale_halve(struct loss_scale *scale);
/* After a step that did not. */
void loss_scale_keep(struct loss_scale *scale);

/* What a checkpoint keeps of it; false: no such state. */
enum { LOSS_SCALE_WORDS = 3 };
void loss_scale_save(const struct loss_scale *scale, uint32_t out[LOSS_SCALE_WORDS]);
bool loss_scale_restore(struct loss_scale *scale, const uint32_t words[LOSS_SCALE_WORDS]);

#endif
