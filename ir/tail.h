/* Tails (ir/schedule.h): which additions the kernel of the node before them does. */
#ifndef IR_TAIL_H
#define IR_TAIL_H

#include "ir/schedule.h"
#include "ir/uses.h"

/* Rearranges `order`, so that additions come right behind the node whose kernel does them. Returns how many
 * nodes run as one, by the number of the first; 0 for those behind it. On `arena`. */
uint32_t *tails_find(struct arena *arena, const struct uses *uses, const struct chain_limits *limits,
                     uint32_t *order);

#endif
