/* The loss of relations (MiniLMv2, Wang et al. 2021): how each position of x is related to those before it,
 * as softmax of the scaled products of x with itself in each head, and how far that is from the same of y. No
 * table of scores is stored. */
#ifndef TRAIN_RELATION_H
#define TRAIN_RELATION_H

#include "ir/graph.h"
#include <stdint.h>

struct relation_result {
    uint32_t loss;     /* sum over tokens of weight times the mean over heads of KL(y's || x's), [1] */
    uint32_t gradient; /* of x, [b, s, width of x] */
};

/* student x [b, s, d], teacher y [b, s, e], weights [b, s]; `heads` divides d and e. */
struct relation_result relation_build(struct graph *graph, uint32_t x, uint32_t y, uint32_t weights,
                                      uint32_t heads);

#endif
