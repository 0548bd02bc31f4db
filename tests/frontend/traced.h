/* ONNX graphs that are written and computed at once: every operation appends its node to a writer and works
 * out the result for one batch and length in double precision, element by element, from the operator's
 * definition. It shares nothing with the importer, so the last value is an oracle for what the file means. */
#ifndef TESTS_FRONTEND_TRACED_H
#define TESTS_FRONTEND_TRACED_H

#include "tests/support/onnx_writer.h"
#include "tests/support/random.h"

enum { TRACED_RANK = 5 };

/* Sizes in the targets of reshapes that are those of the run. */
enum { TRACED_BATCH = -100, TRACED_LENGTH = -101, TRACED_REST = -1 };

struct traced {
    const char *name;
    uint32_t rank;
    int64_t dims[TRACED_RANK];
    double *data; /* row-major, on the tracer's arena */
};

struct tracer {
    struct onnx_writer writer;
    struct arena arena;
    struct random random; /* of weights and of what the caller draws */
    int64_t batch, length;
    const char *batch_size, *length_size; /* names of the run's sizes, [1] each */
    uint32_t weights;
};

/* Declares the input "input_ids" [batch, length]; `tokens` [batch * length] are its values. */
void tracer_begin(struct tracer *t, uint64_t seed, int64_t batch, int64_t length);
void tracer_release(struct tracer *t);

/* A random f32 weight; of rank 1 around 1. */
struct traced traced_weight(struct tracer *t, uint32_t rank, const int64_t *dims);
struct traced traced_embed(struct tracer *t, const struct traced *table, const int32_t *tokens);
/* Batched product of the last two axes; leading axes are equal, or those of `y` absent. */
struct traced traced_matmul(struct tracer *t, struct traced x, struct traced y);
/* Elementwise, NumPy's broadcasting. `op` is Add, Mul or Div. */
struct traced traced_binary(struct tracer *t, const char *op, struct traced x, struct traced y);
struct traced traced_number(struct tracer *t, float value);
struct traced traced_silu(struct tracer *t, struct traced x);
/* x / sqrt(mean(x^2) + 1e-5) * weight over the last axis, spelled with small operators. */
struct traced traced_norm(struct tracer *t, struct traced x, struct traced weight);
struct traced traced_reshape(struct tracer *t, struct traced x, uint32_t rank, const int64_t *target);
struct traced traced_transpose(struct tracer *t, struct traced x, const int64_t *order);
struct traced traced_slice(struct tracer *t, struct traced x, int64_t axis, int64_t start, int64_t end);
/* All elements of the axis, last first. */
struct traced traced_reverse(struct tracer *t, struct traced x, int64_t axis);
struct traced traced_concat(struct tracer *t, struct traced x, struct traced y, int64_t axis);
/* Repeats axis `axis`, of size 1, `count` times. */
struct traced traced_expand(struct tracer *t, struct traced x, int64_t axis, int64_t count);
/* cap * tanh(x / cap) */
struct traced traced_cap(struct tracer *t, struct traced x, float cap);
/* Rotates channel i of x [..., length, size] with channel i + size / 2 by position * base^(-2i / size). */
struct traced traced_rotary(struct tracer *t, struct traced x, float base);
/* Rotates channels 2i and 2i + 1 of the first `turned` channels by position * base^(-2i / turned). */
struct traced traced_neighbours(struct tracer *t, struct traced x, int64_t turned, float base);
/* Softmax of scores [..., length, length] in which a position sees itself and those before: all, or `window`
 * in all when that is not 0. */
struct traced traced_causal_softmax(struct tracer *t, struct traced scores, int64_t window);

#endif
