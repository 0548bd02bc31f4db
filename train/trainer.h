/* Training: drives an executor through the graphs of a step.
 *
 * For each step: for each lane, for each of its micro-batches: write ids, labels and weights, run micro; then
 * fold; then write the optimizer's numbers, with 1 / total weight, and run update. All state is in executor
 * tensors, listed by trainer_state(): what a checkpoint saves, and, written back into a fresh trainer, all
 * that resuming needs for the same bytes, with trainer_scale() where losses are scaled. A teacher that is
 * trained beside (`correction`) takes each step with its student, and its states are listed behind the
 * student's. Between steps the accumulators are zero.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "data/batch.h"
#include "data/targets.h"
#include "ir/executor.h"
#include "train/loss_scale.h"
#include "train/schedule.h"
#include "train/step.h"
#include <signal.h>
#include <stdint.h>

struct trainer;

/* Where micro-batches come from: pure functions of their arguments, or resuming would not give the same
 * bytes.
 */
struct trainer_source {
    /* Fills `out` (its rows and length are the micro-batch's) with micro-batch `micro` of step `step`,
     * counted from the first of this trainer's; micro counts over all lanes. The tag of its rows, the same
     * for all, is the route that they take. */
    void (*fill)(void *payload, uint64_t step, uint32_t micro, struct batch *out);
    /* What a teacher said beforehand of that micro-batch; NULL where no route has kept anything. */
    enum status (*kept)(void *payload, uint64_t step, uint32_t micro, struct targets *out,
                        struct trace *trace);
    void *payload;
};
/* A batcher (borrowed) whose options have rows = micro and micros = batch / micro. */
struct trainer_source trainer_source_of_batcher(struct batcher *batcher);

struct trainer_spec {
    struct executor *executor; /* borrowed */
    struct step_spec step;     /* graphs are borrowed until trainer_create returns */
    uint32_t batch;            /* sequences a step: a multiple of micro * lanes */
    struct schedule schedule;  /* its steps are this trainer's */
    uint32_t first;            /* steps that were done before by others: phases of a longer run */
    struct adamw adamw;
    struct loss_scale_options loss_scale; /* where the executor's operands are half precision */
    struct trainer_source source;
    /* Trains the first teacher of the first route beside the student, on batches of its own source; borrowed,
     * NULL when teachers stay as they are. The student learns from the teacher as it is before the step. */
    struct trainer *correction;
};

/* Makes both recompute activations where their steps together would take more than `bytes`. `correction` is
 * the specification of spec's correction, which is yet to be made; NULL: there is none. */
enum status trainer_fit(struct trainer_spec *spec, struct trainer_spec *correction, int64_t bytes,
                        struct trace *trace) MUST_CHECK;
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
    float correction;            /* loss of the teacher that is trained beside */
    uint32_t loss_scale;         /* what the loss was multiplied by on its way back; 1: by nothing */
};

struct trainer_hooks {
    /* After every step; may be NULL. */
    enum status (*report)(void *payload, const struct trainer_report *report, struct trace *trace);
    /* When one is due, on interruption and at `stop`, and after the schedule's last step if others go on from
     * there; may be NULL. Reads states. */
    enum status (*checkpoint)(void *payload, struct trainer *trainer, struct trace *trace);
    void *payload;
    enum trainer_end { TRAINER_ENDS, TRAINER_GOES_ON } end; /* after the schedule's last step */
    uint32_t stop;                            /* steps after which to stop; 0: the schedule's end */
    uint32_t checkpoint_steps;                /* due every so many steps; 0: never */
    double checkpoint_seconds;                /* due when so long ago; 0: never */
    const volatile sig_atomic_t *interrupted; /* set asynchronously; may be NULL */
};

/* Runs from trainer_position() to `stop`. NOT_FINITE names the step whose loss or gradient is not
 * (its update has not been kept from the states: resume from a checkpoint). INTERRUPTED after a
 * checkpoint; running again goes on. */
enum status trainer_run(struct trainer *trainer, const struct trainer_hooks *hooks,
                        struct trace *trace) MUST_CHECK;

/* Steps done, by this trainer and those before it. */
uint32_t trainer_position(const struct trainer *trainer);
const struct step *trainer_step(const struct trainer *trainer);

/* The states, in a fixed order: weight.NAME, first.NAME, second.NAME for each parameter, each flat, row-major
 * f32; then those of the correction, their names behind "teacher.". */
struct trainer_state {
    struct str name;
    int64_t count;
    uint32_t tensor;          /* of the executor */
    const struct trainer *of; /* the trainer, or its correction */
    uint32_t parameter;       /* index in trainer_step(of)->parameters */
    enum trainer_state_kind { STATE_WEIGHT, STATE_FIRST, STATE_SECOND } kind;
};
uint32_t trainer_state_count(const struct trainer *trainer);
struct trainer_state trainer_state(const struct trainer *trainer, uint32_t index);
enum status trainer_state_read(struct trainer *trainer, uint32_t index, int64_t first, int64_t count,
                               float *out, struct trace *trace) MUST_CHECK;
enum status trainer_state_write(struct trainer *trainer, uint32_t index, int64_t first, int64_t count,
                                const float *data, struct trace *trace) MUST_CHECK;
/* The scales of the loss: of the trainer, then of its correction; none where nothing is scaled. They are part
 * of the state: what a checkpoint saves, and puts back. */
uint32_t trainer_scale_count(const struct trainer *trainer);
struct loss_scale *trainer_scale(struct trainer *trainer, uint32_t index);
/* After all states have been written: the steps that they have seen. INVALID when beyond the schedule. */
enum status trainer_resume(struct trainer *trainer, uint32_t position, struct trace *trace) MUST_CHECK;

#endif
