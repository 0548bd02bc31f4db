/* The model's head and its losses, chunk of tokens by chunk of tokens, so that no tensor of tokens x
 * vocabulary exists for the student or for a teacher.
 *
 * For each chunk of whole blocks of 512 tokens (golden order: chunks of another size would change bits):
 *   x = tail(h[chunk] W^T);  loss, dx = objectives(x, teachers' x, labels, weights), back through the tail;
 *   dh[chunk] = dx W;  dW = dW + dx^T h[chunk]. */
#ifndef TRAIN_HEAD_H
#define TRAIN_HEAD_H

#include "ir/graph.h"
#include "passes/logit_tail.h"
#include "train/objective.h"
#include <stdint.h>

enum { HEAD_CHUNK = 512, HEAD_MAX_OBJECTIVES = 8, HEAD_MAX_TEACHERS = 4 };

struct head_side {
    uint32_t hidden;               /* [b, s, d] */
    uint32_t weight;               /* [v, d] */
    const struct logit_tail *tail; /* of the product, moved to the graph; NULL: it is the logits */
};

struct head_spec {
    struct graph *graph;
    int64_t tokens;     /* b * s */
    int64_t vocabulary; /* rows of the weights that are used, the first; 0: all */
    int64_t chunk;      /* tokens a chunk: a multiple of HEAD_CHUNK; 0 means HEAD_CHUNK */
    struct head_side student;
    const struct head_side *teachers;
    uint32_t teacher_count;
    uint32_t labels;            /* i32 [b, s] */
    uint32_t weights;           /* [b, s] */
    struct objective_kept kept; /* of a teacher that was asked beforehand: [b, s, k] twice, [b, s] */
    const struct objective *objectives;
    uint32_t objective_count; /* at most HEAD_MAX_OBJECTIVES, at least 1 */
};

struct head_result {
    uint32_t dhidden;                     /* [b, s, d] */
    uint32_t dweight;                     /* [v, d], zero where rows are not used */
    uint32_t dbias;                       /* [v], of the tail's bias; ID_NONE: there is none */
    uint32_t losses[HEAD_MAX_OBJECTIVES]; /* sums over tokens, not times the objective's weight, [1] each */
};

/* Well-formed by construction: the caller has checked the specification. */
struct head_result head_build(const struct head_spec *spec);

#endif
