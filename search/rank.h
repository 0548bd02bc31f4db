/* Which candidate is best: each is pruned, trained for some steps and measured as the stages of the search
 * file say, and ranked at several points of the training (Muralidharan et al. 2024, section 3: rankings
 * before training mislead).
 *
 * The stages are: any that come before, then prune, train or distill unless only what is right after pruning
 * is asked for, and one or several that measure: evaluate (by loss) and answer (by accuracy). Those before
 * are run once; the sizes of a candidate are given to its prune stage, and the training stops at each point
 * and goes on from there to the next, under one schedule. Everything is a stage of the store: what is there
 * is not run again, so a search that was killed goes on. */
#ifndef SEARCH_RANK_H
#define SEARCH_RANK_H

#include "pipeline/run.h"
#include "search/search.h"

/* A stage that measures, and what is ranked by. */
struct rank_measure {
    const char *name;     /* of the stage */
    const char *quantity; /* "loss" or "accuracy": a member of its report */
    bool is_high_best;
};

/* The order of the candidates at a point, by one measure. */
struct rank_order {
    double *value;         /* one a candidate; NaN where it was not measured, as it had been dropped */
    const uint32_t *order; /* candidates that were measured, best first; ties as the candidates come */
    uint32_t count;
    double tau; /* Kendall's, with the point before; NaN at the first */
};

struct rank_point {
    uint32_t step;               /* of training; 0: right after pruning */
    const struct rank_order *by; /* one a measure */
};

struct ranking {
    struct arena arena;
    struct run run; /* owns the search's pipeline */
    VEC(struct rank_measure) measures;
    uint32_t decides; /* the measure by which candidates are dropped, and settled; the first unless rank.by */
    uint32_t candidates;
    VEC(struct rank_point) points;
    bool is_settled; /* ended before the last point, as two points agreed */
    struct rank_layout {
        uint32_t shared; /* stages before the first candidate's */
        uint32_t points; /* of the file */
        bool trains;
        bool is_first_untrained; /* point 0 is among them */
    } layout;
};

struct rank_events {
    void (*point)(void *context, const struct search *search, const struct ranking *ranking,
                  const struct rank_point *point); /* or NULL */
    void *context;
};

/* Whether a search file says how to rank. */
static inline bool rank_is_wanted(const struct search *search)
{
    return search->pipeline.stages.count > 0;
}

/* Takes the search's pipeline: its candidates stay. INVALID: stages in another order, points that are not in
 * the training; INTERRUPTED as run_stages(). In mode RUN_DRY nothing is run: the points are those that the
 * store has, the last perhaps of some candidates only. Release on failure too. */
enum status ranking_run(struct ranking *out, struct search *search, const struct run_options *options,
                        const struct rank_events *events, struct trace *trace) MUST_CHECK;
void ranking_release(struct ranking *ranking); /* accepts zeroed memory */

/* Kendall's tau of two points by a measure, over the candidates that both measured; and of two measures at a
 * point: 1 where the best by either are the same. */
double rank_agreement(const struct ranking *ranking, uint32_t measure, const struct rank_point *a,
                      const struct rank_point *b);
double rank_concord(const struct ranking *ranking, const struct rank_point *point, uint32_t a, uint32_t b);

/* Numbers of a candidate's stages in the run's pipeline; the one of training is STAGE_NONE at point 0.
 * `point` counts the points of the file. */
uint32_t rank_stage_of_pruning(const struct ranking *ranking, uint32_t candidate);
uint32_t rank_stage_of_training(const struct ranking *ranking, uint32_t candidate, uint32_t point);
uint32_t rank_stage_of_measure(const struct ranking *ranking, uint32_t candidate, uint32_t point,
                               uint32_t measure);

#endif
