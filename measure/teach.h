/* Asking a teacher: of each token of some sequences, the largest log-probabilities of the next with their
 * ids, and the logarithm of what all others come to together. Logits exist for 512 tokens at a time only. */
#ifndef MEASURE_TEACH_H
#define MEASURE_TEACH_H

#include "data/targets.h"
#include "measure/session.h"

struct teach_options {
    uint32_t rows, length; /* sequences at a time, tokens of each */
    uint32_t top;          /* log-probabilities to keep */
    uint32_t vocabulary;   /* tokens that take part, the first; 0: all */
    float temperature;     /* of the distribution; 0: 1 */
};

struct teaching {
    struct session session;
    struct graph *graph;
    struct teach_options options;
    uint32_t vocabulary; /* that takes part */
    float *places;
};

/* UNSUPPORTED: the model's logits are no linear layer; INVALID: it has not so many tokens. `model` is
 * borrowed. */
enum status teaching_open(struct teaching *out, struct executor *executor, const struct graph *model,
                          const struct teach_options *options, struct trace *trace) MUST_CHECK;
/* ids [rows, length] -> `out`, which has as many tokens. */
enum status teaching_ask(struct teaching *teaching, const int32_t *ids, struct targets *out,
                         struct trace *trace) MUST_CHECK;
void teaching_release(struct teaching *teaching); /* accepts zeroed memory */

#endif
