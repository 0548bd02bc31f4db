/* The graphs that run once per lane and once per step; see train/step.h. */
#ifndef TRAIN_STEP_UPDATE_H
#define TRAIN_STEP_UPDATE_H

#include "train/step.h"

void step_fold_build(struct step *step, const struct graph *student);
void step_update_build(struct step *step, const struct graph *student);

#endif
