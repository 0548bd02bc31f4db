/* The order of a graph's nodes, chosen for memory: a node that stores a state runs right after what it stores
 * was made, so that a gradient is added to its accumulator as soon as it is complete and its room is free
 * again. */
#ifndef TRAIN_ORDER_H
#define TRAIN_ORDER_H

#include "ir/graph.h"

/* Moves every node whose result is an output of the graph directly behind the last node it reads from. Values
 * keep their ids; results do not change, only when they are made. */
void order_outputs_early(struct graph *graph);

#endif
