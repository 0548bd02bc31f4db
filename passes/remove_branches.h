/* Depth surgery: residual branches are taken out by putting the stream before them in the place of the stream
 * after them. The result is what the graph computes with those branches' results zeroed. */
#ifndef PASSES_REMOVE_BRANCHES_H
#define PASSES_REMOVE_BRANCHES_H

#include "passes/structure.h"

/* `branches`: indices into structure->branches, distinct. A new, canonical graph. INVALID: none is left. */
enum status remove_branches(struct graph **out, const struct graph *graph, const struct structure *structure,
                            const uint32_t *branches, uint32_t count, struct trace *trace) MUST_CHECK;
/* All branches of these layers, distinct. INVALID: no such layer, or none is left. */
enum status remove_layers(struct graph **out, const struct graph *graph, const struct structure *structure,
                          const uint32_t *layers, uint32_t count, struct trace *trace) MUST_CHECK;

#endif
