/* Operators that work element by element, with broadcasting. */
#include "frontend/evaluate.h"
#include "frontend/exact.h"
#include <math.h>
#include <string.h>

enum result_type { KEEP, TRUTH };

static enum status map_unary(struct evaluation *e, double (*function)(double))
{
    if (e->input_count < 1 || !e->inputs[0])
        return status_fail(e->trace, INVALID, "expected one input");
    const struct array *x = e->inputs[0];
    TRY(array_create(&e->outputs[0], e->room, x->type, x->rank, x->dims, e->trace));
    for (int64_t i = 0; i < x->count; i++)
        e->outputs[0]->data[i] = array_round(function(x->data[i]), x->type);
    return OK;
}

/* A product with one is still the cosine that it was. */
static void inherit_angle(struct array *out, const struct array *in)
{
    if (in->function != ARRAY_PLAIN && array_equal(out, in)) {
        out->function = in->function;
        out->angle = in->angle;
    }
}

static enum status map_binary(struct evaluation *e, double (*function)(double, double),
                              enum result_type result)
{
    if (e->input_count != 2 || !e->inputs[0] || !e->inputs[1])
        return status_fail(e->trace, UNSUPPORTED, "expected two inputs, found %u", e->input_count);
    const struct array *x = e->inputs[0], *y = e->inputs[1];
    uint32_t rank;
    int64_t dims[ONNX_MAX_RANK], of_x[ONNX_MAX_RANK], of_y[ONNX_MAX_RANK], index[ONNX_MAX_RANK] = {0};
    if (!array_broadcast_shape(x, y, &rank, dims) || !array_broadcast(x, rank, dims, of_x) ||
        !array_broadcast(y, rank, dims, of_y))
        return status_fail(e->trace, INVALID, "the shapes of its inputs do not broadcast");
    struct array *out;
    TRY(array_create(&out, e->room, result == TRUTH ? ONNX_BOOL : x->type, rank, dims, e->trace));
    for (int64_t i = 0; i < out->count; i++) {
        int64_t at_x = 0, at_y = 0;
        for (uint32_t axis = 0; axis < rank; axis++) {
            at_x += of_x[axis] * index[axis];
            at_y += of_y[axis] * index[axis];
        }
        out->data[i] = array_round(function(x->data[at_x], y->data[at_y]), out->type);
        array_next(index, rank, dims);
    }
    inherit_angle(out, x);
    inherit_angle(out, y);
    e->outputs[0] = out;
    return OK;
}

#define UNARY(name, expression)                       \
    static double apply_##name(double x)              \
    {                                                 \
        return expression;                            \
    }                                                 \
    enum status evaluate_##name(struct evaluation *e) \
    {                                                 \
        return map_unary(e, apply_##name);            \
    }
#define BINARY(name, type, expression)                \
    static double apply_##name(double x, double y)    \
    {                                                 \
        return expression;                            \
    }                                                 \
    enum status evaluate_##name(struct evaluation *e) \
    {                                                 \
        return map_binary(e, apply_##name, type);     \
    }
#include "frontend/pointwise.def"

static enum status map_angle(struct evaluation *e, double (*function)(double), enum array_function kind)
{
    TRY(map_unary(e, function));
    e->outputs[0]->function = kind;
    e->outputs[0]->angle = e->inputs[0];
    return OK;
}

enum status evaluate_Cos(struct evaluation *e)
{
    return map_angle(e, exact_cos, ARRAY_COSINE);
}

enum status evaluate_Sin(struct evaluation *e)
{
    return map_angle(e, exact_sin, ARRAY_SINE);
}

enum status evaluate_Where(struct evaluation *e)
{
    if (e->input_count != 3 || !e->inputs[0] || !e->inputs[1] || !e->inputs[2])
        return status_fail(e->trace, INVALID, "expected three inputs");
    const struct array *condition = e->inputs[0], *x = e->inputs[1], *y = e->inputs[2];
    struct array shape = {0};
    uint32_t rank;
    int64_t dims[ONNX_MAX_RANK], strides[3][ONNX_MAX_RANK], index[ONNX_MAX_RANK] = {0};
    bool fits = array_broadcast_shape(condition, x, &shape.rank, shape.dims) &&
                array_broadcast_shape(&shape, y, &rank, dims);
    for (uint32_t i = 0; fits && i < 3; i++)
        fits = array_broadcast(e->inputs[i], rank, dims, strides[i]);
    if (!fits)
        return status_fail(e->trace, INVALID, "the shapes of its inputs do not broadcast");
    TRY(array_create(&e->outputs[0], e->room, x->type, rank, dims, e->trace));
    for (int64_t i = 0; i < e->outputs[0]->count; i++) {
        int64_t at[3] = {0};
        for (uint32_t axis = 0; axis < rank; axis++)
            for (uint32_t input = 0; input < 3; input++)
                at[input] += strides[input][axis] * index[axis];
        e->outputs[0]->data[i] = condition->data[at[0]] != 0 ? x->data[at[1]] : y->data[at[2]];
        array_next(index, rank, dims);
    }
    return OK;
}

static enum status cast_to(struct evaluation *e, int32_t type)
{
    /* The file says complex, and is no valid model: Mul has none. What was meant is not for a reader to say.
     */
    static const char complex[] = "; torch.onnx's older exporter writes it for bfloat16 by mistake, and "
                                  "onnxruntime refuses such a file, too (dynamo=True writes a right one)";
    const struct array *x = e->inputs[0];
    if (onnx_type_size(type) == 0)
        return status_fail(e->trace, UNSUPPORTED, "a cast to %s is not supported%s", onnx_type_name(type),
                           type == ONNX_COMPLEX128 ? complex : "");
    TRY(array_create(&e->outputs[0], e->room, type, x->rank, x->dims, e->trace));
    for (int64_t i = 0; i < x->count; i++)
        e->outputs[0]->data[i] = array_round(x->data[i], type);
    e->outputs[0]->table = x->table;
    return OK;
}

enum status evaluate_Cast(struct evaluation *e)
{
    if (e->input_count < 1 || !e->inputs[0])
        return status_fail(e->trace, INVALID, "expected one input");
    return cast_to(e, (int32_t)onnx_integer(e->node, "to", 0));
}

enum status evaluate_CastLike(struct evaluation *e)
{
    if (e->input_count != 2 || !e->inputs[0] || !e->inputs[1])
        return status_fail(e->trace, INVALID, "expected two inputs");
    return cast_to(e, e->inputs[1]->type);
}
