/* Chains (ir/schedule.h): which element-wise nodes of an order are run as one. */
#ifndef IR_CHAIN_H
#define IR_CHAIN_H

#include "ir/schedule.h"
#include "ir/uses.h"

/* Rearranges `order`, the nodes of the graph in an order that has the schedule's sweeps, and lists the
 * chains, those of `lengths` (ir/tail.h) among them. A node moves back to the last of its chain, over nodes
 * that do not read what it makes, within its sweep. */
void chains_find(struct schedule *out, struct arena *arena, const struct uses *uses,
                 const struct chain_limits *limits, const uint32_t *lengths, uint32_t *order);

#endif
