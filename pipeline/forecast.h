/* What can be known of a run before anything of it runs. Shapes come from the files of imported models, from
 * the settings of fresh ones, and from pruning in which all scores are alike: which elements stay makes no
 * difference to what fits. So a prune stage that asks for more than its model has, or for scores that no
 * stage makes, is found before the hours of training above it are spent. What numbers decide (ties, means to
 * compensate with) is found when the stage runs; after a stage `apply` shapes are not known. */
#ifndef PIPELINE_FORECAST_H
#define PIPELINE_FORECAST_H

#include "passes/scores.h"
#include "pipeline/run.h"

/* Of the stages up to `last` that are not done. INVALID and UNSUPPORTED as the stage itself would fail. */
enum status forecast_check(const struct run *run, uint32_t last, struct trace *trace) MUST_CHECK;

/* Scores by which anything can be pruned, all alike: of widths, layers, and runs of layers of the lengths
 * listed. */
enum status forecast_scores(struct scores *out, struct arena *arena, const struct graph *model,
                            const int64_t *blocks, uint32_t block_count, struct trace *trace) MUST_CHECK;

#endif
