/* The parts of a scoring run (measure/score.h): sites, which are activations that scores come from; signals,
 * which are outputs of the scoring graph; candidates, which are runs of layers to do without. */
#ifndef MEASURE_SCORER_H
#define MEASURE_SCORER_H

#include "base/vec.h"
#include "data/batch.h"
#include "ir/build.h"
#include "measure/score.h"
#include "measure/session.h"
#include "passes/classes.h"
#include "passes/logit_tail.h"

/* An output that is read after each micro-batch: rows [b, count] into the tally, or one number into the sum.
 */
struct signal {
    const char *output;
    uint32_t count;
    bool is_rows;
    struct tally tally;
    double sum;
};

/* An activation [b, s, channels] of the model. Several sites may feed one score (norms feed `hidden`). */
struct site {
    const char *score;
    uint32_t layer;  /* ID_NONE: the final norm */
    uint32_t value;  /* of the model */
    uint32_t reader; /* weight [out, channels] of the model that contracts it, a tensor's index, or ID_NONE */
    uint32_t channels, heads; /* heads 0: an element is a channel */
    /* Signals, or ID_NONE: statistics over positions; mean and variance of channels; |activation * gradient|.
     */
    uint32_t statistics[STATISTIC_COUNT];
    uint32_t mean, variance, taylor;
};

struct candidate {
    uint32_t first, count;        /* layers */
    uint32_t cosine, loss, error; /* signals, or ID_NONE */
    uint32_t hidden;              /* value of the scoring graph: what the head reads without these layers */
};

struct scorer {
    struct arena *arena;
    const struct score_options *options;
    const struct graph *model;
    struct classes classes;
    struct graph *graph;
    struct graph_copy copy;
    uint32_t ones, labels,
        weights;        /* inputs [b, s]; the last two only where a loss is needed, else ID_NONE */
    uint32_t head_node; /* of the model: matmul_nt(hidden, head), the product that the tail is of */
    struct logit_tail tail;
    VEC(struct site) sites;
    VEC(struct signal) signals;
    VEC(struct candidate) candidates;
    VEC(uint32_t) energies;           /* signals: L2 norms over positions of what norms read */
    uint32_t full_loss, full_squares; /* signals */
    struct session session;
    struct batcher batcher;
    struct batch batch;
    double *tokens; /* [vocab]: occurrences */
    uint64_t positions, sequences, labelled;
};

bool scorer_wants(const struct scorer *s, enum score_method method);
bool scorer_wants_depth(const struct scorer *s, enum score_depth depth);
uint32_t scorer_add_rows(struct scorer *s, uint32_t value, uint32_t count); /* value [b, count] */
uint32_t scorer_add_number(struct scorer *s, uint32_t value);               /* value [1] */

/* score_sites.c: which activations; UNSUPPORTED where there is none before an activation function. */
enum status scorer_find_sites(struct scorer *s, struct trace *trace) MUST_CHECK;
bool scorer_is_stream_norm(const struct scorer *s, const struct node *node);
/* score_graph.c: the model with signals as outputs. */
enum status scorer_build(struct scorer *s, struct trace *trace) MUST_CHECK;
/* score_depth.c: candidates; their cosines as soon as the stream is there, the rest behind the model. */
enum status scorer_add_candidates(struct scorer *s, struct trace *trace) MUST_CHECK;
void scorer_add_cosines(struct scorer *s, uint32_t value);
enum status scorer_add_removals(struct scorer *s, int64_t tokens, struct trace *trace) MUST_CHECK;
void scorer_depth_scores(struct scores *out, const struct scorer *s);
/* score_values.c: the scores of one variant of all sites. */
void scorer_width_scores(struct scores *out, const struct scorer *s);
/* score_weights.c: for each element of the class `name` the sum of squares of the weights that go with it.
 * squares [count] */
void weights_squares(double *squares, uint32_t count, const struct graph *model,
                     const struct classes *classes, const char *name, uint32_t layer);
/* squares [channels] of weight [out, channels] */
void weights_column_squares(double *squares, const struct tensor *weight);

#endif
