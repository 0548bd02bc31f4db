/* The static graphs of a training step, and what each of their inputs, weights and outputs stands for.
 *
 *   micro   once per micro-batch: teachers forward, student forward, losses, backward; adds to accumulators;
 *           one for each route: other teachers for other data
 *   fold    once per lane, only with several lanes: adds the lane's sums to the step's, and clears the lane's
 *   update  once per step: norm and clip of the whole gradient, AdamW on every parameter; clears the gradient
 *
 * So a step's gradient is the sum over lanes of the sums over micro-batches, all ascending from +0. Between
 * fold and update is the seam where gradients may be exchanged between machines. Graphs have no symbols:
 * batch and sequence are sizes. Losses are sums over tokens times weights; update divides once, by the step's
 * total weight in `hyper`.
 *
 * A slot names what a value is bound to; the same name in two graphs is the same tensor, and an output is
 * bound to the tensor of the input of that name: states are updated in place. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "base/status.h"
#include "ir/graph.h"
#include "train/head.h"
#include "train/objective.h"
#include "train/states.h"
#include <stdint.h>

enum slot_role {
    SLOT_TOKENS,    /* i32 [micro, length] */
    SLOT_LABELS,    /* i32 [micro, length] */
    SLOT_WEIGHTS,   /* [micro, length] */
    SLOT_KEPT_IDS,  /* i32 [micro, length, kept]; index: route */
    SLOT_KEPT_LOGS, /* [micro, length, kept]; index: route */
    SLOT_KEPT_REST, /* [micro, length]; index: route */
    SLOT_PARAMETER, /* index: parameter */
    SLOT_CONSTANT,  /* index: tensor of the student that is not trained */
    SLOT_TEACHER,   /* index: tensor of that teacher: its first number over all routes */
    SLOT_SUM, /* index: accumulator of a lane: a parameter's gradient, then the objectives' and states' losses
               */
    SLOT_TOTAL,  /* index: accumulator of the step, in the same order */
    SLOT_FIRST,  /* index: parameter; AdamW's first moment */
    SLOT_SECOND, /* index: parameter; AdamW's second moment */
    SLOT_HYPER,  /* [16], see train/schedule.h */
    SLOT_CLIP,   /* [2]: factor and gradient norm */
    SLOT_ROLE_COUNT
};

struct slot {
    uint32_t value;
    enum slot_role role;
    uint32_t index, teacher;
};

enum { STEP_MAX_LOSSES = HEAD_MAX_OBJECTIVES + STATES_MAX, STEP_MAX_ROUTES = 8 };

struct step_graph {
    struct graph *graph;
    VEC(struct slot) slots; /* every input, used tensor and output */
};

/* A tensor that is trained. */
struct parameter {
    struct str name;
    uint32_t tensor;     /* index in the student's graph; ID_NONE: a matrix that state losses share */
    uint32_t projection; /* then the route that it is of */
    int64_t count;
    enum parameter_decay { DECAY_NONE, DECAY_WEIGHTS } decay;
};

/* Which tensors weight decay pulls to zero. */
enum step_decays {
    DECAYS_MATRICES, /* all but vectors: norms and biases do not */
    DECAYS_HIDDEN,   /* those, but for tables of tokens and positions, tied to the head or not */
    DECAYS_ALL,      /* vectors too */
};

/* How a micro-batch is learnt from: by which teachers, or by what one of them said beforehand. */
struct step_route {
    const struct graph *const *teachers;
    uint32_t teacher_count;
    const struct objective *objectives;
    uint32_t objective_count; /* the same for all routes, or kept_kl for forward_kl: losses add up by place */
    uint32_t kept;            /* log-probabilities a token that a teacher gave beforehand; 0: none */
    int64_t vocabulary;       /* tokens whose logits are compared, the first; 0: all, and all have as many */
    struct state_losses states; /* beside the objectives; the same for all routes but for teachers' layers */
};

struct step_spec {
    const struct graph *student; /* borrowed, as the teachers: its views are read by the trainer */
    struct step_route routes[STEP_MAX_ROUTES];
    uint32_t route_count; /* 0: one */
    enum step_decays decays;
    bool recomputes;       /* train/recompute.h; changes no byte */
    int64_t micro, length; /* sequences in a micro-batch, tokens in a sequence */
    uint32_t lanes;
    int64_t chunk; /* tokens a chunk of the head; 0: the default */
};

struct step {
    struct arena arena;
    VEC(struct parameter) parameters;
    /* Each holds the matrix by which a teacher's state losses multiply the student's states; by the first
     * route that has the teacher, else NULL. */
    struct graph *projections[STEP_MAX_ROUTES];
    uint32_t projection_of[STEP_MAX_ROUTES]; /* the parameter that a route multiplies by, or ID_NONE */
    uint32_t loss_count;                     /* objectives, then pairs of states */
    uint32_t route_count;
    struct step_graph micros[STEP_MAX_ROUTES]; /* by route */
    struct step_graph fold, update;            /* fold.graph is NULL with one lane */
};

/* INVALID or UNSUPPORTED says which model does not fit and why. */
enum status step_build(struct step *out, const struct step_spec *spec, struct trace *trace) MUST_CHECK;
void step_release(struct step *step); /* accepts zeroed memory */

/* Teachers of all routes are numbered in order; one that has several has the first. */
uint32_t step_teachers_before(const struct step_spec *spec, uint32_t route);
uint32_t step_teacher_number(const struct step_spec *spec, uint32_t route, uint32_t index);

/* Number of accumulators, and how many elements one has. */
uint32_t step_sums(const struct step *step);
int64_t step_sum_size(const struct step *step, uint32_t index);
/* What a parameter begins as; its view is borrowed from the student or the step. */
const struct tensor *step_parameter_tensor(const struct step *step, const struct graph *student,
                                           uint32_t index);

#endif
