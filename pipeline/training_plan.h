/* What a training stage is to do, read from the file and checked: which inputs its data is mixed of, who
 * teaches which of it, and in which phases. */
#ifndef PIPELINE_TRAINING_PLAN_H
#define PIPELINE_TRAINING_PLAN_H

#include "pipeline/pipeline.h"

bool training_plan_is_for(const struct stage_entry *stage); /* train, correct, distill */
/* Its settings are read and its model is found; `pipeline` has the stages above. */
enum status training_plan_read(struct stage_entry *stage, struct pipeline *pipeline,
                               struct trace *trace) MUST_CHECK;

/* Phases: one where the file gives none. What a phase does not say is as the stage says. */
uint32_t training_phases(const struct stage_entry *stage);
int64_t training_integer(const struct stage_entry *stage, uint32_t phase, const char *key);
double training_real(const struct stage_entry *stage, uint32_t phase, const char *key);
const char *training_text(const struct stage_entry *stage, uint32_t phase, const char *key);
double training_rate(const struct stage_entry *stage, uint32_t phase); /* the peak */
/* Where the data of a phase comes from. */
const struct data_source *training_sources(uint32_t *count, const struct stage_entry *stage, uint32_t phase);
uint32_t training_first_step(const struct stage_entry *stage, uint32_t phase); /* of the run, from 0 */
const char *training_tag(const struct pipeline *pipeline, uint32_t input);

#endif
