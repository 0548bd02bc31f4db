/* Importance scores. Heads, MLP neurons and channels of the residual stream from forward passes (Minitron,
 * arXiv 2407.14679), with baselines to compare them with; layers and runs of layers from the
 * stream and from what the model does without them. All that is asked for comes from one pass
 * over the data. docs/scores.md has the formulas, and what other programs do. */
#ifndef MEASURE_SCORE_H
#define MEASURE_SCORE_H

#include "base/arena.h"
#include "base/status.h"
#include "data/corpus.h"
#include "data/partition.h"
#include "data/task.h"
#include "ir/executor.h"
#include "measure/tally.h"
#include "passes/scores.h"
#include <signal.h>

enum score_method {
    SCORE_ACTIVATION, /* aggregated activations */
    SCORE_RANDOM,     /* uniform numbers of the counter RNG */
    SCORE_MAGNITUDE,  /* L2 norm of all weights that go with the element */
    SCORE_TAYLOR, /* mean |activation * gradient of the cross-entropy| (Molchanov et al., arXiv 1611.06440) */
    SCORE_FLAP, /* variance of the activation * squared norm of the weights that read it (arXiv 2312.11983) */
    SCORE_METHOD_COUNT
};
extern const char *const score_method_names[SCORE_METHOD_COUNT];

struct score_variant {
    enum score_method method;
    enum statistic batch, sequence; /* SCORE_ACTIVATION: over sequences, over positions */
};
/* "l2-mean" (batch, sequence), "random", ... */
const char *score_variant_name(struct arena *arena, const struct score_variant *variant);

enum score_depth {
    DEPTH_BLOCK_IMPORTANCE, /* how much the stream turns on the way through */
    DEPTH_PERPLEXITY,       /* what the loss rises by without */
    DEPTH_LOGIT_ERROR,      /* how far the logits move without */
    DEPTH_ACCURACY,         /* what share of a task's items is no longer right without */
    DEPTH_MARGIN, /* by how much the right choice is less likely without, compared with the best of the others
                   */
    DEPTH_COUNT
};
extern const char *const score_depth_names[DEPTH_COUNT];
static inline bool score_depth_needs_task(enum score_depth depth)
{
    return depth == DEPTH_ACCURACY || depth == DEPTH_MARGIN;
}

enum score_neurons { NEURONS_AFTER, NEURONS_BEFORE }; /* the activation function */
enum score_heads { HEADS_NORM_FIRST, HEADS_NORM_LAST };
enum score_sites { SITE_ATTENTION = 1, SITE_MLP = 2, SITE_FINAL = 4 }; /* whose norm's outputs */

struct score_options {
    uint32_t samples, length, rows; /* sequences in all, tokens in each, sequences at a time */
    uint64_t seed;                  /* of the choice of sequences, and of SCORE_RANDOM */
    struct partition partition;
    const struct score_variant *variants; /* none: activations, l2 over sequences of means over positions */
    uint32_t variant_count;
    enum score_neurons neurons;
    enum score_heads heads;
    unsigned sites;                 /* of enum score_sites; 0: attention and MLP */
    const enum score_depth *depths; /* none: block importance */
    uint32_t depth_count;
    const uint32_t *blocks; /* lengths of runs of layers to score as well */
    uint32_t block_count;
    bool energy; /* record the stream's energies before norms */
    /* Removals share a pass over the data, whose memory grows with their number; or each has one of its own,
     * in the memory of a forward pass. The scores are the same. */
    enum score_removals { REMOVALS_TOGETHER, REMOVALS_ONE_BY_ONE } removals;
    const struct task *task;     /* DEPTH_ACCURACY, DEPTH_MARGIN; else NULL */
    struct tokenizer *tokenizer; /* for the task */
    uint32_t task_length;        /* most tokens of a text of the task; 0: all */
    const char *label;
    const volatile sig_atomic_t *stop;
};

/* Fills `out` (on `arena`) with one array per prunable class of the model, named as passes/classes.h names
 * them, by the first variant; `layers`, by the first depth; `blocks.N`, where value i is of layers i ..
 * i+N-1; and `vocab` (how often each token occurs in the calibration data). Where several variants or depths
 * are asked for, NAME@VARIANT has each of them. SCORE_FLAP adds `NAME@means`, the mean of each channel;
 * `energy` adds `norms.K@energy`, the mean square of each channel of what the K-th norm of the stream reads,
 * in order of nodes. */
enum status measure_score(struct scores *out, struct arena *arena, struct executor *executor,
                          const struct graph *model, const struct corpus *corpus,
                          const struct score_options *options, struct trace *trace) MUST_CHECK;

#endif
