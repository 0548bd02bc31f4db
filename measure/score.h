/* Importance scores from forward passes (Minitron, arXiv 2407.14679, section 2.2): heads by the L2 norm of
 * their output, MLP neurons by the input of the closing projection, embedding channels by the outputs of the
 * norms, layers by block importance 1 - E[cos(x_in, x_out)] (section 2.3). Aggregation over positions: mean
 * of absolute values; over sequences: L2. All in one pass over the data. */
#ifndef MEASURE_SCORE_H
#define MEASURE_SCORE_H

#include "base/arena.h"
#include "base/status.h"
#include "data/corpus.h"
#include "data/partition.h"
#include "ir/executor.h"
#include "passes/scores.h"
#include <signal.h>

struct score_options {
    uint32_t samples, length, rows; /* sequences in all, tokens in each, sequences at a time */
    uint64_t seed;                  /* of the choice of sequences */
    struct partition partition;
    const char *label;
    const volatile sig_atomic_t *stop;
};

/* Fills `out` (on `arena`) with one array per prunable class of the model, named as passes/classes.h names
 * them, `layers`, and `vocab` (how often each token occurs in the calibration data). */
enum status measure_score(struct scores *out, struct arena *arena, struct executor *executor,
                          const struct graph *model, const struct corpus *corpus,
                          const struct score_options *options, struct trace *trace) MUST_CHECK;

#endif
