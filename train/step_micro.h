/* The graphs that run once per micro-batch, one a route; see train/step.h. */
#ifndef TRAIN_STEP_MICRO_H
#define TRAIN_STEP_MICRO_H

#include "train/step.h"

/* step->parameters is filled already. */
enum status step_micro_build(struct step *step, const struct step_spec *spec, uint32_t route,
                             struct trace *trace) MUST_CHECK;

#endif
