/* The scores that a prune stage ranks by: of several that a score stage made, those that `by` and `by_depth`
 * name; or random ones, for comparison, which need no score stage. */
#ifndef PIPELINE_PRUNE_SCORES_H
#define PIPELINE_PRUNE_SCORES_H

#include "passes/scores.h"
#include "pipeline/stage.h"

/* `scores` with the chosen ones under the names that passes look for, on the stage's arena. INVALID, at the
 * setting, where the score stage did not make them. */
enum status prune_scores_choose(struct scores *out, struct stage_run *stage, const struct graph *model,
                                const struct scores *scores, struct trace *trace) MUST_CHECK;

#endif
