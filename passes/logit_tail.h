/* What stands between the head's product and the logits: its bias, scales, and the hyperbolic tangent of a
 * soft cap. Losses are made of chunks of the product, so the steps are built again for each chunk, and their
 * gradients with them. */
#ifndef PASSES_LOGIT_TAIL_H
#define PASSES_LOGIT_TAIL_H

#include "ir/graph.h"

enum { LOGIT_TAIL_MAX = 4 };

struct logit_step {
    enum op op; /* scale, tanh, or add */
    float scale;
    uint32_t vector; /* that is added, [v]: of the model's graph, after logit_tail_move() of the copy's */
    uint32_t value;  /* the step's result in the model's graph */
};

struct logit_tail {
    uint32_t product; /* what the first step is taken of; the logits when there is none */
    uint32_t count;
    struct logit_step steps[LOGIT_TAIL_MAX];
};

struct logit_tail logit_tail_find(const struct graph *graph, uint32_t logits);
/* The bias, or ID_NONE. */
uint32_t logit_tail_bias(const struct logit_tail *tail);
/* `values`: what stands for each value of the model's graph in the one that steps are built in. */
void logit_tail_move(struct logit_tail *tail, const uint32_t *values);
bool logit_tail_has(const struct logit_tail *tail, uint32_t value);
/* The steps over x [..., v] in `graph`; kept[i] is what step i gives. Returns the last. */
uint32_t logit_tail_apply(const struct logit_tail *tail, struct graph *graph, uint32_t x,
                          uint32_t kept[LOGIT_TAIL_MAX]);
/* The gradient of x from that of the last step; *dbias is that of the bias, ID_NONE when there is none; no
 * node is made for it where `dbias` is NULL. */
uint32_t logit_tail_pull_back(const struct logit_tail *tail, struct graph *graph,
                              const uint32_t kept[LOGIT_TAIL_MAX], uint32_t dy, uint32_t *dbias);

#endif
