/* Scores in the store: an object of kind "scores". Text lines, so that people can read them: "NAME COUNT",
 * then one line for each value with the digits that give the float back. */
#ifndef PIPELINE_SCORES_OBJECT_H
#define PIPELINE_SCORES_OBJECT_H

#include "base/hash.h"
#include "passes/scores.h"
#include "store/store.h"

void scores_print(const struct scores *scores, struct builder *out);
enum status scores_open(struct scores *out, struct arena *arena, const struct store *store, struct hash128 id,
                        struct trace *trace) MUST_CHECK;

#endif
