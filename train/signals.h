/* Named signals of a model: the values inside its graph that losses are made of.
 *
 * Found by structure, never by a tensor's name:
 *   logits      the output "logits"                         [b, s, v]
 *   hidden      what the head multiplies                    [b, s, d]
 *   head        the head's weight (may be the embedding)    [v, d]
 *   residual.N  the residual stream after its N-th addition [b, s, d]; residual.0 is the embedding
 */
#ifndef TRAIN_SIGNALS_H
#define TRAIN_SIGNALS_H

#include "base/status.h"
#include "ir/graph.h"
#include "passes/logit_tail.h"

struct signals {
    uint32_t tokens; /* the input "tokens" */
    uint32_t logits, hidden, head;
    struct logit_tail tail; /* from the head's product to the logits */
    VEC(uint32_t) residuals;
};

/* Lists live on `arena`. UNSUPPORTED tells what stands where the head's product was expected. */
enum status signals_find(struct signals *out, struct arena *arena, const struct graph *graph,
                         struct trace *trace) MUST_CHECK;

/* The value of a signal, ID_NONE when the model has none of that name. */
uint32_t signals_get(const struct signals *signals, struct str name);

#endif
