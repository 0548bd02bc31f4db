/* What prune and apply share: scores, the measured receipt, the reduced tokenizer, storing the result. */
#ifndef PIPELINE_REWRITE_H
#define PIPELINE_REWRITE_H

#include "passes/pass.h"
#include "pipeline/stage.h"

/* The stage's scores on its arena; empty when it has none. */
enum status rewrite_scores(struct scores *out, struct stage_run *stage, struct trace *trace) MUST_CHECK;
/* Outputs "model", "names", "tokenizer", "receipt": `after` came from before->graph through passes in
 * `context`. */
enum status rewrite_finish(struct stage_run *stage, const struct model *before, const struct graph *after,
                           struct pass_context *context, struct trace *trace) MUST_CHECK;

#endif
