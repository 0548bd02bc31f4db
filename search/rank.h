/* Which candidate is best: each is pruned, trained for some steps and evaluated as the stages of the search
 * file say, and ranked by its loss at several points of the training (Muralidharan et al. 2024, section 3:
 * rankings before training mislead).
 *
 * The stages are: any that come before, then prune, train or distill, evaluate. Those before are run once;
 * the sizes of a candidate are given to its prune stage, and the training stops at each point and goes on
 * from there to the next, under one schedule. Everything is a stage of the store: what is there is not run
 * again, so a search that was killed goes on. */
#ifndef SEARCH_RANK_H
#define SEARCH_RANK_H

#include "pipeline/run.h"
#include "search/search.h"

struct rank_point {
    uint32_t step;         /* of training; 0: right after pruning */
    const double *loss;    /* one a candidate; NaN where it was not measured, as it had been dropped */
    const uint32_t *order; /* candidates that were measured, best first; ties as the candidates come */
    uint32_t count;
    /* Kendall's tau with the point before, over the candidates that both measured; NaN at the first. */
    double tau;
};

struct ranking {
    struct arena arena;
    struct run run; /* owns the search's pipeline */
    VEC(struct rank_point) points;
    bool is_settled; /* ended before the last point, as two points agreed */
};

struct rank_events {
    void (*point)(void *context, const struct search *search, const struct rank_point *point); /* or NULL */
    void *context;
};

/* Whether a search file says how to rank. */
static inline bool rank_is_wanted(const struct search *search)
{
    return search->pipeline.stages.count > 0;
}

/* Takes the search's pipeline: its candidates stay. INVALID: stages in another order, points that are not in
 * the training; INTERRUPTED as run_stages(). Release on failure too. */
enum status ranking_run(struct ranking *out, struct search *search, const struct run_options *options,
                        const struct rank_events *events, struct trace *trace) MUST_CHECK;
void ranking_release(struct ranking *ranking); /* accepts zeroed memory */

/* Kendall's tau of two points over the candidates that both measured. */
double rank_agreement(const struct rank_point *a, const struct rank_point *b, uint32_t candidates);

#endif
