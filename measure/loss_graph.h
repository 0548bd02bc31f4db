/* The graph that scores tokens: a model with its head taken chunk by chunk, so that no tokens x vocabulary
 * tensor is stored unless it is asked for. */
#ifndef MEASURE_LOSS_GRAPH_H
#define MEASURE_LOSS_GRAPH_H

#include "base/status.h"
#include "ir/graph.h"
#include "passes/logit_tail.h"

enum { LOSS_CHUNK = 512, LOSS_NAME_SIZE = 32 };

enum loss_outputs {
    LOSS_SUM_AND_EACH,    /* "loss" [1]: the sum of loss times weight over all tokens; and "losses.K" */
    LOSS_EACH,            /* "losses.K" [n]: in nats, of tokens [512 K, 512 K + n) */
    LOSS_EACH_AND_LOGITS, /* and "logits.K" [n, vocabulary] */
};

/* With whom the model is compared: then there are "divergences.K" [n], KL(teacher || model) in nats, and
 * "choices.K" and "teacher.K" [n, 1], the likeliest token of either (of equal ones the first). */
struct loss_teacher {
    const struct graph *model;
    int64_t vocabulary; /* tokens that are compared, the first; 0: all, and both have as many */
};

/* `model` has input "tokens" [b, s] and output "logits" = matmul_nt(hidden, head), with or without a bias,
 * else UNSUPPORTED; so has the teacher's, unless `teacher` is NULL. Of the result, tokens = b * s; inputs are
 * those of the model, "labels" and "weights" [b, s]. INVALID: the vocabularies do not fit. The caller
 * destroys *out, on failure too. */
enum status loss_graph_build(struct graph **out, const struct graph *model, int64_t tokens,
                             enum loss_outputs outputs, const struct loss_teacher *teacher,
                             struct trace *trace) MUST_CHECK;

/* The name of an output of a chunk, as "losses". */
const char *loss_output_name(char out[LOSS_NAME_SIZE], const char *what, int64_t chunk);

#endif
