/* The models of a training stage: its student, and who teaches it on which route. */
#ifndef PIPELINE_TRAINING_MODELS_H
#define PIPELINE_TRAINING_MODELS_H

#include "pipeline/losses.h"
#include "pipeline/targets_object.h"
#include "train/trainer.h"

struct training_models {
    struct model student;
    uint32_t routes;                             /* at least 1 */
    struct model teachers[STEP_MAX_ROUTES];      /* zero where another route has the same, or none is asked */
    struct targets_reader kept[STEP_MAX_ROUTES]; /* zero where a teacher is asked in the step */
    const struct graph *graphs[STEP_MAX_ROUTES]; /* of the teachers */
    struct losses losses[STEP_MAX_ROUTES];
};

/* Opens and compares them; release in any case. */
enum status training_models_open(struct training_models *out, struct stage_run *stage,
                                 struct trace *trace) MUST_CHECK;
void training_models_release(struct training_models *models); /* accepts zeroed memory */

/* What a phase's trainer is to do, but for its executor and source. The models are borrowed. */
struct trainer_spec training_models_spec(const struct training_models *models,
                                         const struct stage_entry *entry, uint32_t phase);
/* The same for the teacher that is trained beside; the weights of the student play no part. */
struct trainer_spec training_models_correction(const struct training_models *models,
                                               const struct stage_entry *entry, uint32_t phase);

#endif
