/* Objectives: losses over the logits of one chunk of tokens, each with its gradient. A training run mixes any
 * number of them by weight. Losses are sums over tokens times the tokens' weights; nothing is divided here
 * (the update divides once by the step's total weight). */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include "base/str.h"
#include "ir/graph.h"
#include <stdbool.h>
#include <stdint.h>

enum objective_kind {
#define OBJECTIVE(name, ...) OBJECTIVE_##name,
#include "train/objectives.def"
    OBJECTIVE_COUNT
};

enum objective_needs {
    OBJECTIVE_NEEDS_LABELS = 1 << 0,
    OBJECTIVE_NEEDS_TEACHER = 1 << 1,
    OBJECTIVE_NEEDS_KEPT = 1 << 2
};

/* One term of the loss. */
struct objective {
    enum objective_kind kind;
    float weight;     /* finite, 0 or at least 2^-51 */
    uint32_t teacher; /* which teacher, where the kind needs one */
    /* Logits of teacher and student are divided by it; loss and gradient are those of the divided logits, so
     * there is no factor of its square. 0 means 1. */
    float temperature;
    uint32_t top; /* forward_kl: of the teacher's tokens, how many are kept apart from the rest; 0: all */
};

/* What an objective may ask for, for the n tokens of one chunk. */
struct objective_chunk {
    struct graph *graph;
    uint32_t logits;          /* the student's, [n, v] */
    const uint32_t *teachers; /* logits of each teacher, [n, v]; ID_NONE where no objective asks */
    uint32_t labels;          /* i32 [n] */
    uint32_t weights;         /* [n] */
    struct objective_kept {
        uint32_t ids, logs,
            rest; /* what a teacher gave beforehand: i32 [n, k], [n, k], [n]; ID_NONE: nothing */
    } kept;
};

struct objective_result {
    uint32_t loss;    /* sum of loss times weight over the chunk, [1] */
    uint32_t dlogits; /* its gradient, [n, v] */
};

struct objective_info {
    const char *name;
    uint32_t needs;
    struct objective_result (*emit)(const struct objective_chunk *chunk, const struct objective *objective);
    const char *summary;
};

extern const struct objective_info objective_table[OBJECTIVE_COUNT];
bool objective_from_name(struct str name, enum objective_kind *out); /* '-' and '_' are the same */

#endif
