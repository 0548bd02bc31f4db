/* The trainer's inside, shared by trainer.c (the loop) and trainer_state.c (tensors, programs, states). */
#ifndef TRAIN_TRAINER_STATE_H
#define TRAIN_TRAINER_STATE_H

#include "train/trainer.h"

struct trainer {
    struct executor *executor;
    struct step step;
    float weights[STEP_MAX_LOSSES]; /* of the losses in the report's sum */
    struct schedule schedule;
    struct adamw adamw;
    struct loss_scale scale;
    struct trainer_source source;
    struct trainer *correction; /* or NULL */
    uint32_t first;             /* steps before this trainer's */
    uint32_t lanes, micros;     /* micro-batches a step, over all lanes */
    uint32_t position;
    enum trainer_sums { SUMS_CLEAR, SUMS_USED } sums; /* used: a step was left in the middle */
    struct batch batch;
    struct targets kept[STEP_MAX_ROUTES]; /* of routes that have any */
    struct program *routes[STEP_MAX_ROUTES], *fold, *update;

    /* Executor tensors by slot: one list a role, indexed by the slot's index. SUM and TOTAL are the same
     * tensors when there is one lane. */
    struct arena arena;
    uint32_t *tensors[SLOT_ROLE_COUNT];
    uint32_t **teachers; /* by teacher, then tensor; equal graphs share theirs */
    VEC(uint32_t) owned; /* every tensor created */
    struct trainer_state *states;
};

/* Creates every tensor, uploads the weights and compiles the programs. On failure trainer_destroy cleans up.
 */
enum status trainer_prepare(struct trainer *trainer, const struct step_spec *spec,
                            struct trace *trace) MUST_CHECK;
enum status trainer_clear_sums(struct trainer *trainer, struct trace *trace) MUST_CHECK;

#endif
