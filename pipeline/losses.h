/* What a training stage minimises, from its settings: objectives over logits, and losses of hidden states. */
#ifndef PIPELINE_LOSSES_H
#define PIPELINE_LOSSES_H

#include "base/arena.h"
#include "pipeline/vocabularies.h"
#include "train/step.h"

struct losses {
    struct objective objectives[2];
    uint32_t objective_count;
    struct state_losses states; /* pairs are on the arena that was given */
    int64_t vocabulary;         /* tokens that student and teacher share; 0: all */
};

/* `teacher` is NULL for training without one. INVALID says which models do not fit together, and why. */
enum status losses_read(struct losses *out, struct arena *arena, const struct settings *settings,
                        const struct model *student, const struct teacher_source *teacher,
                        struct trace *trace) MUST_CHECK;

/* A name for loss `index` of a step in records: "ce", "forward_kl", "block.0-1" (student's layer, teacher's;
 * of `routes` teachers whose layers differ the student's only). */
const char *losses_name(struct arena *arena, const struct losses *losses, uint32_t routes, uint32_t index);

#endif
