/* Checkpoints of a training stage: the trainer's states and the losses so far, under the stage's key. */
#ifndef PIPELINE_CHECKPOINTS_H
#define PIPELINE_CHECKPOINTS_H

#include "base/hash.h"
#include "base/status.h"
#include "store/store.h"
#include "train/trainer.h"

struct checkpoints {
    const struct store *store;
    struct hash128 key;
};

/* curve: [steps], of which the first trainer_position() are kept. */
enum status checkpoints_write(const struct checkpoints *c, struct trainer *trainer, const float *curve,
                              struct trace *trace) MUST_CHECK;
/* The step of the latest sound checkpoint, 0 when there is none. */
enum status checkpoints_latest(const struct checkpoints *c, uint32_t *step, struct trace *trace) MUST_CHECK;
/* Puts the trainer where the latest sound checkpoint is. */
enum status checkpoints_resume(const struct checkpoints *c, struct trainer *trainer, float *curve,
                               struct trace *trace) MUST_CHECK;
enum status checkpoints_remove(const struct checkpoints *c, struct trace *trace) MUST_CHECK;

#endif
