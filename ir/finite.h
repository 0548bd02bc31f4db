/* Which results of a program an executor has to look at, so that none that is not finite stays unseen: what
 * an op that shows it (OP_SHOWS) reads makes that op's results not finite either, and these are looked at, or
 * shown in their turn. */
#ifndef IR_FINITE_H
#define IR_FINITE_H

#include "base/arena.h"
#include "ir/graph.h"

/* By value, on `arena`. */
bool *finite_watched(struct arena *arena, const struct graph *graph);

#endif
