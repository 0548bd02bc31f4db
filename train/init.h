/* Fresh weights from the counter RNG. Each tensor has its own stream, so any part of any tensor can be made
 * without the rest, in any order, with the same bytes. */
#ifndef TRAIN_INIT_H
#define TRAIN_INIT_H

#include "base/status.h"
#include "ir/graph.h"
#include <stdint.h>

/* How weights of a model are spread. */
struct init_options {
    uint64_t seed;
    float deviation; /* of every matrix; 0: 0.02 (GPT-2) */
    enum init_residual {
        INIT_RESIDUAL_SCALED, /* matrices whose product is added to the residual stream: divided by the square
                                 root of the number of such additions (Radford et al. 2019, section 2.3) */
        INIT_RESIDUAL_PLAIN,
    } residual;
};

/* What a tensor is, seen from the nodes that use it. */
enum init_role {
    INIT_MATRIX,   /* normal */
    INIT_RESIDUAL, /* normal, scaled */
    INIT_ONES,     /* weights of norms */
    INIT_ZEROS,    /* other vectors: biases */
    INIT_KEPT,     /* constants that are not trained: rotary frequencies, ids */
};

struct init_tensor {
    enum init_role role;
    uint32_t stream; /* place in the order of first use by the graph's nodes */
    float deviation;
};

struct init_plan {
    struct init_options options;
    struct init_tensor *tensors; /* one a tensor of the graph, on the arena given */
    uint32_t count;
};

/* INVALID when the deviation is not finite and positive. */
enum status init_plan_make(struct init_plan *out, struct arena *arena, const struct graph *graph,
                           const struct init_options *options, struct trace *trace) MUST_CHECK;

/* Elements [first, first + count) of a tensor, row-major; not for INIT_KEPT. */
void init_read(const struct init_plan *plan, uint32_t tensor, int64_t first, int64_t count, float *out);

/* Gives every tensor that is not kept fresh f32 content on the graph's arena: for models that fit in memory.
 */
void init_fill(const struct init_plan *plan, struct graph *graph);

/* True for tensors that training must not touch: rotary frequencies and integers. */
bool tensor_is_constant(const struct graph *graph, uint32_t tensor);

#endif
