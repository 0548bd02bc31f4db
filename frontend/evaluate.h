/* Executing ONNX nodes whose inputs are concrete: shape arithmetic, masks, positions, rotary angles.
 *
 * One function an operator, named in frontend/onnx_ops.def. A function reads e->inputs (NULL where an
 * optional input is absent), allocates its outputs from e->room, and fails with what is wrong; the caller
 * adds which node it was. */
#ifndef FRONTEND_EVALUATE_H
#define FRONTEND_EVALUATE_H

#include "frontend/array.h"
#include "frontend/onnx_node.h"

enum { EVALUATE_MAX_INPUTS = 64, EVALUATE_MAX_OUTPUTS = 64 };

struct evaluation {
    struct array_room *room;
    struct onnx_file *file; /* for tensors in attributes */
    const Onnx__NodeProto *node;
    uint32_t input_count, output_count;
    const struct array *inputs[EVALUATE_MAX_INPUTS];
    struct array *outputs[EVALUATE_MAX_OUTPUTS];
    struct trace *trace;
};

#define EVALUATE(name) enum status evaluate_##name(struct evaluation *e) MUST_CHECK
#define UNARY(name, expression) EVALUATE(name);
#define BINARY(name, type, expression) EVALUATE(name);
#include "frontend/pointwise.def"

EVALUATE(Constant);
EVALUATE(NonZero);
EVALUATE(ConstantOfShape);
EVALUATE(Shape);
EVALUATE(Size);
EVALUATE(Range);
EVALUATE(Trilu);
EVALUATE(CumSum);
EVALUATE(Where);
EVALUATE(MatMul);
EVALUATE(ScatterND);
EVALUATE(ReduceSum);
EVALUATE(ReduceMean);
EVALUATE(ReduceMax);
EVALUATE(ReduceMin);
EVALUATE(ReduceProd);
EVALUATE(Identity);
EVALUATE(Cast);
EVALUATE(CastLike);
EVALUATE(Cos);
EVALUATE(Sin);
EVALUATE(Gather);
EVALUATE(GatherND);
EVALUATE(Unsqueeze);
EVALUATE(Squeeze);
EVALUATE(Flatten);
EVALUATE(Concat);
EVALUATE(Slice);
EVALUATE(Split);
EVALUATE(Reshape);
EVALUATE(Transpose);
EVALUATE(Expand);
EVALUATE(Tile);
#undef EVALUATE

/* What several operators, and the rules for activations, read from concrete inputs or attributes. */

/* Axes from attribute "axes" or input `slot`, resolved against `rank`; *given is false when neither is there.
 */
enum status evaluate_axes(const struct evaluation *e, uint32_t slot, uint32_t rank,
                          uint32_t axes[ONNX_MAX_RANK], uint32_t *count, bool *given) MUST_CHECK;
/* A list of integers from attribute `name` or input `slot`; *given as above. */
enum status evaluate_integers(const struct evaluation *e, const char *name, uint32_t slot, int64_t *out,
                              uint32_t capacity, uint32_t *count, bool *given) MUST_CHECK;
/* One axis of a Slice, resolved against its size: `count` elements from `start` in steps of `step`. */
struct slice {
    uint32_t axis;
    int64_t start, step, count;
};
/* The slices of a Slice node over a value of these dims. */
enum status evaluate_slices(const struct evaluation *e, uint32_t rank, const int64_t *dims,
                            struct slice out[ONNX_MAX_RANK], uint32_t *count) MUST_CHECK;
/* The shape that Reshape asks for: 0 copies (unless allowzero), -1 infers. */
enum status evaluate_reshape(const struct evaluation *e, uint32_t rank, const int64_t *dims, int64_t total,
                             uint32_t *out_rank, int64_t out[ONNX_MAX_RANK]) MUST_CHECK;
/* Sizes of the parts of a Split of an axis of `size`. */
enum status evaluate_parts(const struct evaluation *e, int64_t size,
                           int64_t parts[EVALUATE_MAX_OUTPUTS]) MUST_CHECK;
/* The permutation of a Transpose. */
enum status evaluate_permutation(const struct evaluation *e, uint32_t rank,
                                 uint32_t out[ONNX_MAX_RANK]) MUST_CHECK;

#endif
