/* Scores on the command line: FILE.yaml:STAGE of a score stage, or the id of a scores object. */
#ifndef PIPELINE_SCORES_SOURCE_H
#define PIPELINE_SCORES_SOURCE_H

#include "passes/scores.h"
#include "pipeline/source.h"

/* Whether `spec` names scores and no model. False, too, where it names nothing at all. */
bool scores_source_is(const char *spec, const struct source_options *options);
enum status scores_source_open(struct scores *out, struct arena *arena, const char *spec,
                               const struct source_options *options, struct trace *trace) MUST_CHECK;

#endif
