/* The settings of a prune stage as a request to the pass. */
#ifndef PIPELINE_PRUNE_REQUEST_H
#define PIPELINE_PRUNE_REQUEST_H

#include "passes/prune.h"
#include "pipeline/settings.h"

/* All but the tokens, which tokenizer and scores choose. Lists are on the arena or the settings'. */
struct prune_request prune_request_read(struct arena *arena, const struct settings *settings);

#endif
