/* How much memory a step takes, before anything is allocated: decides whether activations are recomputed. */
#ifndef TRAIN_STEP_MEMORY_H
#define TRAIN_STEP_MEMORY_H

#include "train/step.h"

/* Bytes of weights, optimizer's states, accumulators, inputs, and of the values of the micro graph that are
 * alive at once when nodes run one after the other. What an executor keeps besides (packed operands, staging)
 * is not in it; the twin's sweeps (ir/schedule.h) need less for what they pass on, and more for what is put
 * off. */
enum status step_memory(int64_t *bytes, const struct step *step, struct trace *trace) MUST_CHECK;

#endif
