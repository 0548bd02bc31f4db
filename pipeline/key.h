/* Keys of stages. */
#ifndef PIPELINE_KEY_H
#define PIPELINE_KEY_H

#include "base/hash.h"
#include "pipeline/run.h"

/* A stage that `number` takes something from and that is not done, or STAGE_NONE. */
uint32_t key_unknown_input(const struct run *run, uint32_t number);
/* All inputs are done. Hashes input files where it must. */
enum status key_make(struct hash128 *out, struct run *run, uint32_t number, struct trace *trace) MUST_CHECK;
/* The key of the training stage that does all steps of the schedule where this one stops before: its
 * checkpoints are the same states, so they lie under that key, and so does the log of its steps. */
enum status key_make_unstopped(struct hash128 *out, const struct run *run, uint32_t number,
                               struct trace *trace) MUST_CHECK;

#endif
