/* Hidden states of a model that a student can be trained to have as its teacher has them, and their losses
 * (Sun et al. 2019; Jiao et al. 2020; Muralidharan et al. 2024, section 3).
 *
 *   embedding  the residual stream before the first layer, as the norm that reads it makes it
 *   block      the residual stream after a layer, as the norm that reads it makes it
 *   mlp_input  what the layer's MLP reads, normalised
 *   mlp        what the layer's MLP adds to the stream
 *   attention  what the layer's attention adds to the stream
 *   queries, keys, values  relations: of each position to those before it, as attention with these as queries
 * and keys has them, in heads of which student and teacher have equally many (Wang et al. 2021)
 *
 * A loss is the distance of the student's state from the teacher's at each token, summed over tokens times
 * their weights; of relations it is the mean of KL(teacher || student) over heads. A student narrower (or
 * wider) than its teacher has its states multiplied by one matrix that all losses with this teacher share and
 * that is trained with it, as a parameter of the step but not of the student. */
#ifndef TRAIN_STATES_H
#define TRAIN_STATES_H

#include "base/status.h"
#include "base/str.h"
#include "ir/graph.h"
#include <stdbool.h>

enum state_kind {
#define STATE(name, ...) STATE_KIND_##name,
#include "train/states.def"
    STATE_KIND_COUNT
};

struct state_info {
    const char *name;
    const char *summary;
};
extern const struct state_info state_table[STATE_KIND_COUNT];
bool state_from_name(struct str name, enum state_kind *out); /* '-' and '_' are the same */

enum { STATES_MAX = 24 };

/* One loss: a state of the student and the one of the teacher that it is to come near. */
struct state_pair {
    enum state_kind kind;
    uint32_t student, teacher; /* layers; the embedding has none */
    float weight;
};

/* All of them. */
struct state_losses {
    const struct state_pair *pairs; /* borrowed */
    uint32_t count;                 /* 0: none */
    uint32_t teacher;               /* which teacher of the route */
    enum state_distance { STATE_COSINE, STATE_MSE } distance;
    enum state_scale {
        STATE_FIXED,   /* their sum is added to the loss as it is */
        STATE_DYNAMIC, /* times the teacher's divergences over their sum, in each micro-batch, as a constant
                        */
    } scale;
    uint64_t seed;           /* of the shared matrix */
    uint32_t relation_heads; /* divides the widths of what is related */
};

/* The value of a state in a model; INVALID when there is no such layer, UNSUPPORTED when the layer lacks it.
 */
enum status state_find(uint32_t *out, struct arena *arena, const struct graph *model, enum state_kind kind,
                       uint32_t layer, struct trace *trace) MUST_CHECK;
/* Layers of a model, for the default map. */
enum status state_layers(uint32_t *out, struct arena *arena, const struct graph *model,
                         struct trace *trace) MUST_CHECK;

static inline bool state_is_relation(enum state_kind kind)
{
    return kind == STATE_KIND_queries || kind == STATE_KIND_keys || kind == STATE_KIND_values;
}

/* A graph that holds nothing but the shared matrix [teacher's width, student's width] with fresh values:
 * normal with deviation 1/sqrt(student's width), so that states keep their size; of each `stream` others.
 * Destroyed by the caller. */
struct graph *state_projection_create(int64_t teacher, int64_t student, uint64_t seed, uint32_t stream);

/* One side of the losses in the graph of a step. */
struct state_build {
    struct graph *graph;
    const struct state_losses *losses;
    const uint32_t *student, *teacher; /* a value [b, s, width] a pair */
    uint32_t projection;               /* [teacher's width, student's width], ID_NONE when they are equal */
    uint32_t weights;                  /* of the tokens, [b, s] */
};

struct state_result {
    uint32_t values[STATES_MAX];    /* what the student's state became: the seeds' values */
    uint32_t gradients[STATES_MAX]; /* of the pair's loss, not times its weight */
    uint32_t losses[STATES_MAX];    /* [1] each, not times their weight */
};

struct state_result state_losses_build(const struct state_build *build);

/* Multiplies gradients by the pairs' weights and, when dynamic, by `divergence` [1] over the sum of losses.
 */
void state_losses_scale(struct state_result *result, const struct state_build *build, uint32_t divergence);

#endif
