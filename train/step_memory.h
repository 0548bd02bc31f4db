/* How much memory a step takes, before anything is allocated: decides whether activations are recomputed. */
#ifndef TRAIN_STEP_MEMORY_H
#define TRAIN_STEP_MEMORY_H

#include "train/step.h"

/* Bytes of weights, optimizer's states, accumulators, inputs, and of the values of the micro graph that are
 * alive at once when nodes run one after the other. What an executor keeps besides (packed operands, staging)
 * is not in it; the twin's sweeps (ir/schedule.h) need less for what they pass on, and more for what is put
 * off. A teacher of several routes counts once; the first, where it is lent by the step that trains it, not
 * at all. */
enum step_teachers { STEP_TEACHERS_OWN, STEP_FIRST_TEACHER_LENT };
enum status step_memory(int64_t *bytes, const struct step *step, enum step_teachers teachers,
                        struct trace *trace) MUST_CHECK;

#endif
