/* The pieces of a scoring run (measure/score.h): sites, which are activations that scores come from; signals,
 * which are outputs of the scoring graph; candidates, which are runs of layers to do without.
 *
 * A run has one sweep over the batches, or, where memory is to be bounded, one for each candidate after one
 * for all else: each has a graph of its own and goes over the same batches. Signals of all sweeps are in one
 * list. */
#ifndef MEASURE_SCORER_H
#define MEASURE_SCORER_H

#include "base/vec.h"
#include "data/batch.h"
#include "ir/build.h"
#include "measure/head_graph.h"
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

/* How a model answers a task: the share of items that are right, and the mean over items of how far the right
 * choice is likelier than the likeliest of the others, in nats. */
struct score_answers {
    double accuracy, margin;
};

struct candidate {
    uint32_t first, count;        /* layers */
    uint32_t cosine, loss, error; /* signals, or ID_NONE */
    uint32_t hidden;              /* value of the scoring graph: what the head reads without these layers */
    struct score_answers answers; /* of the model without these layers */
};

enum { SWEEP_ALL = UINT32_MAX, SWEEP_REST = UINT32_MAX - 1 }; /* else the number of a candidate */

struct scorer {
    struct arena *arena;
    const struct score_options *options;
    const struct graph *model;
    struct classes classes;
    struct graph *graph;
    struct graph_copy copy;
    uint32_t ones, labels,
        weights;            /* inputs [b, s]; the last two only where a loss is needed, else ID_NONE */
    struct model_head head; /* its node is ID_NONE where none was found, nor needed */
    VEC(struct site) sites;
    VEC(struct signal) signals;
    uint32_t first_signal; /* of the sweep that runs */
    uint32_t sweep;
    VEC(struct candidate) candidates;
    VEC(uint32_t) energies;           /* signals: L2 norms over positions of what norms read */
    uint32_t full_loss, full_squares; /* signals */
    struct score_answers full_answers;
    struct session session;
    struct batcher batcher;
    struct batch batch;
    double *tokens; /* [vocab]: occurrences */
    uint64_t positions, sequences, labelled;
};

bool scorer_wants(const struct scorer *s, enum score_method method);
bool scorer_wants_depth(const struct scorer *s, enum score_depth depth);
bool scorer_wants_removals(const struct scorer *s);                         /* on the text, not of a task */
uint32_t scorer_add_rows(struct scorer *s, uint32_t value, uint32_t count); /* value [b, count] */
uint32_t scorer_add_number(struct scorer *s, uint32_t value);               /* value [1] */

/* score_sites.c: which activations; UNSUPPORTED where there is none before an activation function. */
enum status scorer_find_sites(struct scorer *s, struct trace *trace) MUST_CHECK;
bool scorer_is_stream_norm(const struct scorer *s, const struct node *node);
/* score_graph.c: finds classes, sites and candidates; then, for each sweep, the model with signals as
 * outputs.
 */
enum status scorer_prepare(struct scorer *s, struct trace *trace) MUST_CHECK;
enum status scorer_build(struct scorer *s, struct trace *trace) MUST_CHECK;
/* Whether the sweep measures the model itself (sites, and what a removal is compared with). */
static inline bool scorer_measures_model(const struct scorer *s)
{
    return s->sweep == SWEEP_ALL || s->sweep == SWEEP_REST;
}
/* score_depth.c: candidates; their cosines as soon as the stream is there, the rest behind the model. */
enum status scorer_add_candidates(struct scorer *s, struct trace *trace) MUST_CHECK;
/* What the head of the model makes of rows of `hidden`, in the scoring graph: the logits, and in kept[] the
 * steps after the product. */
uint32_t scorer_chunk_logits(struct scorer *s, uint32_t hidden, const struct build_attributes *range,
                             uint32_t kept[LOGIT_TAIL_MAX]);
void scorer_add_cosines(struct scorer *s, uint32_t value);
enum status scorer_add_removals(struct scorer *s, int64_t tokens, struct trace *trace) MUST_CHECK;
void scorer_depth_scores(struct scores *out, const struct scorer *s);
/* The model without the candidate's layers. The caller destroys *out. */
enum status scorer_model_without(struct graph **out, const struct scorer *s, const struct candidate *c,
                                 struct trace *trace) MUST_CHECK;
/* score_task.c: answers of the model, and of the model without each candidate. */
enum status scorer_run_task(struct scorer *s, struct executor *executor, struct trace *trace) MUST_CHECK;
/* score_values.c: the scores of one variant of all sites. */
void scorer_width_scores(struct scores *out, const struct scorer *s);
/* score_weights.c: for each element of the class `name` the sum of squares of the weights that go with it.
 * squares [count] */
void weights_squares(double *squares, uint32_t count, const struct graph *model,
                     const struct classes *classes, const char *name, uint32_t layer);
/* squares [channels] of weight [out, channels] */
void weights_column_squares(double *squares, const struct tensor *weight);

#endif
