/* Training: drives an executor through the graphs of a step.
 *
 * For each step: for each lane, for each of its micro-batches: write ids, labels and weights, run micro; then
 * fold; then write the optimizer's numbers, with 1 / total weight, and run update. All state is in executor
 * tensors, listed by trainer_state(): what a checkpoint saves, and, written back into a fresh trainer, all
 * that resuming needs for the same bytes. Between steps the accumulators are zero. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "data/batch.h"
#include "ir/executor.h"
#include "train/schedule.h"
#include "train/step.h"
#include <signal.h>
#include <stdint.h>

struct trainer;

/* Fills `out` (its rows and length are the micro-batch's) with micro-batch `micro` of step `step`; micro
 * counts over all lanes. A pure function of its arguments, or resuming would not give the same bytes. */
struct trainer_source {
    void (*fill)(void *payload, uint64_t step, uint32_t micro, struct batch *out);
    void *payload;
};
/* A batcher (borrowed) whose options have rows = micro and micros = batch / micro. */
struct trainer_source trainer_source_of_batcher(struct batcher *batcher);

struct trainer_spec {
    struct executor *executor; /* borrowed */
    struct step_spec step;     /* graphs are borrowed until trainer_create returns */
    int64_t memory;            /* bytes beyond which a step recomputes activations; 0: no limit */
    uint32_t batch;            /* sequences a step: a multiple of micro * lanes */
    struct schedule schedule;  /* its steps are the run's */
    struct adamw adamw;
    struct trainer_source source;
};

/* Uploads the models, compiles the graphs, zeroes the optimizer's state. */
enum status trainer_create(struct trainer **out, const struct trainer_spec *spec,
                           struct trace *trace) MUST_CHECK;
void trainer_destroy(struct trainer *trainer); /* accepts NULL */

struct trainer_report {
    uint32_t step; /* that was done, from 0 */
    float loss;    /* the weighted objectives, per unit of token weight */
    float
        losses[STEP_MAX_LOSSES]; /* each objective and pair of states, unweighted, per unit of token weight */
    float gradient_norm;         /* before clipping */
    float rate;                  /* learning rate */
    float weight;                /* sum of the tokens' weights */
};

struct trainer_hooks {
    /* After every step; may be NULL. */
    enum status (*report)(void *payload, const struct trainer_report *report, struct trace *trace);
    /* When one is due, on interruption and at `stop`, but not after the schedule's last step; may be NULL.
     * Reads states. */
    enum status (*checkpoint)(void *payload, struct trainer *trainer, struct trace *trace);
    void *payload;
    uint32_t stop;                            /* steps after which to stop; 0: the schedule's end */
    uint32_t checkpoint_steps;                /* due every so many steps; 0: never */
    double checkpoint_seconds;                /* due when so long ago; 0: never */
    const volatile sig_atomic_t *interrupted; /* set asynchronously; may be NULL */
};

/* Runs from trainer_position() to `stop`. INVALID names the step whose loss or gradient is not
 * finite (its update has not been kept from the states: resume from a checkpoint). INTERRUPTED after a
 * checkpoint; running again goes on. */
enum status trainer_run(struct trainer *trainer, const struct trainer_hooks *hooks,
                        struct trace *trace) MUST_CHECK;

/* Steps done. */
uint32_t trainer_position(const struct trainer *trainer);
const struct step *trainer_step(const struct trainer *trainer);

/* The states, in a fixed order: weight.NAME, first.NAME, second.NAME for each parameter, each flat, row-major
 * f32. */
struct trainer_state {
    struct str name;
    int64_t count;
    uint32_t tensor;    /* of the executor */
    uint32_t parameter; /* index in trainer_step()->parameters */
    enum trainer_state_kind { STATE_WEIGHT, STATE_FIRST, STATE_SECOND } kind;
};
uint32_t trainer_state_count(const struct trainer *trainer);
struct trainer_state trainer_state(const struct trainer *trainer, uint32_t index);
enum status trainer_state_read(struct trainer *trainer, uint32_t index, int64_t first, int64_t count,
                               float *out, struct trace *trace) MUST_CHECK;
enum status trainer_state_write(struct trainer *trainer, uint32_t index, int64_t first, int64_t count,
                                const float *data, struct trace *trace) MUST_CHECK;
/* After all states have been written: the steps that they have seen. INVALID when beyond the schedule. */
enum status trainer_resume(struct trainer *trainer, uint32_t position, struct trace *trace) MUST_CHECK;

#endif
