/* Operators that make arrays from shapes or reduce them: constants, ranges, triangles, sums, small matrix
 * products. */
#include "frontend/evaluate.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static enum status need_inputs(const struct evaluation *e, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (i >= e->input_count || !e->inputs[i])
            return status_fail(e->trace, INVALID, "expected %u inputs", count);
    return OK;
}

static enum status tensor_attribute(struct array **out, struct evaluation *e, const Onnx__TensorProto *tensor)
{
    struct onnx_data *data = ARENA_NEW(e->room->arena, struct onnx_data);
    TRY(onnx_data_locate(data, e->file, tensor, e->trace));
    return array_from_data(out, e->room, data, e->trace);
}

enum status evaluate_Constant(struct evaluation *e)
{
    const Onnx__NodeProto *node = e->node;
    const Onnx__AttributeProto *attribute = node->n_attribute == 1 ? node->attribute[0] : NULL;
    const char *name = attribute && attribute->name ? attribute->name : "";
    if (strcmp(name, "value") == 0 && attribute->t)
        return tensor_attribute(&e->outputs[0], e, attribute->t);
    if (strcmp(name, "value_ints") == 0)
        return array_from_integers(&e->outputs[0], e->room, attribute->ints, (uint32_t)attribute->n_ints,
                                   e->trace);
    if (strcmp(name, "value_floats") == 0) {
        int64_t dims[1] = {(int64_t)attribute->n_floats};
        TRY(array_create(&e->outputs[0], e->room, ONNX_FLOAT, 1, dims, e->trace));
        for (size_t i = 0; i < attribute->n_floats; i++)
            e->outputs[0]->data[i] = (double)attribute->floats[i];
        return OK;
    }
    bool is_float = strcmp(name, "value_float") == 0;
    if (!is_float && strcmp(name, "value_int") != 0)
        return status_fail(e->trace, UNSUPPORTED, "a constant given by attribute '%s' is not supported",
                           name);
    TRY(array_create(&e->outputs[0], e->room, is_float ? ONNX_FLOAT : ONNX_INT64, 0, NULL, e->trace));
    e->outputs[0]->data[0] = is_float ? (double)attribute->f : (double)attribute->i;
    return OK;
}

/* [axes, elements that are not zero]: where they are, in order. */
enum status evaluate_NonZero(struct evaluation *e)
{
    int64_t index[ONNX_MAX_RANK] = {0}, dims[2], found = 0;
    TRY(need_inputs(e, 1));
    const struct array *x = e->inputs[0];
    if (x->rank == 0)
        return status_fail(e->trace, UNSUPPORTED, "a number has no axes to find places on");
    for (int64_t i = 0; i < x->count; i++)
        found += x->data[i] != 0;
    dims[0] = x->rank;
    dims[1] = found;
    TRY(array_create(&e->outputs[0], e->room, ONNX_INT64, 2, dims, e->trace));
    for (int64_t i = 0, at = 0; i < x->count; i++) {
        for (uint32_t axis = 0; x->data[i] != 0 && axis < x->rank; axis++)
            e->outputs[0]->data[axis * found + at] = (double)index[axis];
        at += x->data[i] != 0;
        array_next(index, x->rank, x->dims);
    }
    return OK;
}

enum status evaluate_ConstantOfShape(struct evaluation *e)
{
    int64_t dims[ONNX_MAX_RANK];
    uint32_t rank;
    bool given;
    struct array *fill = NULL;
    TRY(evaluate_integers(e, "", 0, dims, ONNX_MAX_RANK, &rank, &given));
    const Onnx__AttributeProto *value = onnx_find_attribute(e->node, "value");
    if (value && value->t)
        TRY(tensor_attribute(&fill, e, value->t));
    if (fill && fill->count != 1)
        return status_fail(e->trace, INVALID, "the value to fill with has %" PRId64 " elements", fill->count);
    TRY(array_create(&e->outputs[0], e->room, fill ? fill->type : ONNX_FLOAT, rank, dims, e->trace));
    for (int64_t i = 0; fill && i < e->outputs[0]->count; i++)
        e->outputs[0]->data[i] = fill->data[0];
    return OK;
}

enum status evaluate_Shape(struct evaluation *e)
{
    TRY(need_inputs(e, 1));
    const struct array *x = e->inputs[0];
    int64_t rank = x->rank;
    int64_t start = onnx_integer(e->node, "start", 0), end = onnx_integer(e->node, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end > rank ? rank : end;
    if (start < 0 || start > rank || end < start)
        start = end = 0;
    return array_from_integers(&e->outputs[0], e->room, x->dims + start, (uint32_t)(end - start), e->trace);
}

enum status evaluate_Size(struct evaluation *e)
{
    TRY(need_inputs(e, 1));
    TRY(array_create(&e->outputs[0], e->room, ONNX_INT64, 0, NULL, e->trace));
    e->outputs[0]->data[0] = (double)e->inputs[0]->count;
    return OK;
}

enum status evaluate_Range(struct evaluation *e)
{
    TRY(need_inputs(e, 3));
    double start = e->inputs[0]->data[0], limit = e->inputs[1]->data[0], step = e->inputs[2]->data[0];
    if (e->inputs[0]->count != 1 || e->inputs[1]->count != 1 || e->inputs[2]->count != 1 || !(step != 0))
        return status_fail(e->trace, INVALID, "expected three numbers, the last not zero");
    double count = ceil((limit - start) / step);
    if (!(count < ARRAY_MAX_COUNT))
        return status_fail(e->trace, UNSUPPORTED, "the range is too long to evaluate");
    int64_t dims[1] = {count > 0 ? (int64_t)count : 0};
    TRY(array_create(&e->outputs[0], e->room, e->inputs[0]->type, 1, dims, e->trace));
    for (int64_t i = 0; i < dims[0]; i++)
        e->outputs[0]->data[i] = array_round(start + (double)i * step, e->inputs[0]->type);
    return OK;
}

enum status evaluate_Trilu(struct evaluation *e)
{
    TRY(need_inputs(e, 1));
    const struct array *x = e->inputs[0];
    int64_t diagonal = 0, upper = onnx_integer(e->node, "upper", 1);
    if (x->rank < 2)
        return status_fail(e->trace, INVALID, "expected at least two axes");
    if (e->input_count > 1 && e->inputs[1] &&
        (e->inputs[1]->count != 1 || !array_integer(e->inputs[1], 0, &diagonal)))
        return status_fail(e->trace, INVALID, "the diagonal is not an integer");
    TRY(array_create(&e->outputs[0], e->room, x->type, x->rank, x->dims, e->trace));
    int64_t columns = x->dims[x->rank - 1], rows = x->dims[x->rank - 2];
    for (int64_t i = 0; i < x->count; i++) {
        int64_t column = i % columns, row = i / columns % rows;
        bool kept = upper ? column - row >= diagonal : column - row <= diagonal;
        e->outputs[0]->data[i] = kept ? x->data[i] : 0;
    }
    return OK;
}

enum status evaluate_CumSum(struct evaluation *e)
{
    TRY(need_inputs(e, 2));
    const struct array *x = e->inputs[0];
    int64_t wanted, strides[ONNX_MAX_RANK];
    uint32_t axis;
    if (e->inputs[1]->count != 1 || !array_integer(e->inputs[1], 0, &wanted) ||
        !onnx_resolve_axis(wanted, x->rank, &axis))
        return status_fail(e->trace, INVALID, "the axis is out of range");
    if (onnx_integer(e->node, "exclusive", 0) || onnx_integer(e->node, "reverse", 0))
        return status_fail(e->trace, UNSUPPORTED, "an exclusive or reversed sum is not supported");
    TRY(array_create(&e->outputs[0], e->room, x->type, x->rank, x->dims, e->trace));
    array_strides(x, strides);
    double *out = e->outputs[0]->data;
    for (int64_t i = 0; i < x->count; i++) {
        int64_t position = i / strides[axis] % x->dims[axis];
        out[i] = array_round(x->data[i] + (position > 0 ? out[i - strides[axis]] : 0), x->type);
    }
    return OK;
}

/* Products of stacks of small matrices: the outer product of positions and frequencies is written so. */
enum status evaluate_MatMul(struct evaluation *e)
{
    TRY(need_inputs(e, 2));
    const struct array *a = e->inputs[0], *b = e->inputs[1];
    if (a->rank < 2 || b->rank < 2 || a->dims[a->rank - 1] != b->dims[b->rank - 2])
        return status_fail(e->trace, UNSUPPORTED, "the shapes of its constant inputs do not fit");
    int64_t m = a->dims[a->rank - 2], k = a->dims[a->rank - 1], n = b->dims[b->rank - 1];
    struct array stack_a = {.rank = a->rank - 2}, stack_b = {.rank = b->rank - 2};
    memcpy(stack_a.dims, a->dims, sizeof a->dims);
    memcpy(stack_b.dims, b->dims, sizeof b->dims);
    uint32_t rank;
    int64_t dims[ONNX_MAX_RANK], of_a[ONNX_MAX_RANK], of_b[ONNX_MAX_RANK], index[ONNX_MAX_RANK] = {0};
    if (!array_broadcast_shape(&stack_a, &stack_b, &rank, dims) ||
        !array_broadcast(&stack_a, rank, dims, of_a) || !array_broadcast(&stack_b, rank, dims, of_b))
        return status_fail(e->trace, INVALID, "the shapes of its inputs do not broadcast");
    dims[rank] = m;
    dims[rank + 1] = n;
    TRY(array_create(&e->outputs[0], e->room, a->type, rank + 2, dims, e->trace));
    if (e->outputs[0]->count * (k + 1) > ARRAY_MAX_COUNT)
        return status_fail(e->trace, UNSUPPORTED,
                           "the product of its constant inputs is too large to evaluate");
    for (int64_t at = 0; at < e->outputs[0]->count; at += m * n) {
        int64_t at_a = 0, at_b = 0;
        for (uint32_t axis = 0; axis < rank; axis++) {
            at_a += of_a[axis] * index[axis] * m * k;
            at_b += of_b[axis] * index[axis] * k * n;
        }
        for (int64_t i = 0; i < m * n; i++) {
            double sum = 0;
            for (int64_t j = 0; j < k; j++)
                sum = array_round(
                    sum + array_round(a->data[at_a + i / n * k + j] * b->data[at_b + j * n + i % n], a->type),
                    a->type);
            e->outputs[0]->data[at + i] = sum;
        }
        array_next(index, rank, dims);
    }
    return OK;
}

static double reduce_step(char kind, double total, double value)
{
    switch (kind) {
    case 'x':
        return total > value ? total : value;
    case 'n':
        return total < value ? total : value;
    case 'p':
        return total * value;
    default:
        return total + value;
    }
}

static enum status reduce(struct evaluation *e, char kind)
{
    TRY(need_inputs(e, 1));
    const struct array *x = e->inputs[0];
    uint32_t axes[ONNX_MAX_RANK], count, rank = 0;
    bool given, reduced[ONNX_MAX_RANK] = {false}, keep = onnx_integer(e->node, "keepdims", 1);
    TRY(evaluate_axes(e, 1, x->rank, axes, &count, &given));
    for (uint32_t i = 0; i < (given ? count : x->rank); i++)
        reduced[given ? axes[i] : i] = true;
    int64_t dims[ONNX_MAX_RANK], strides[ONNX_MAX_RANK] = {0}, stride = 1, index[ONNX_MAX_RANK] = {0};
    for (uint32_t axis = x->rank; axis-- > 0;)
        if (!reduced[axis]) {
            strides[axis] = stride;
            stride *= x->dims[axis];
        }
    for (uint32_t axis = 0; axis < x->rank; axis++)
        if (keep || !reduced[axis])
            dims[rank++] = reduced[axis] ? 1 : x->dims[axis];
    TRY(array_create(&e->outputs[0], e->room, x->type, rank, dims, e->trace));
    struct array *out = e->outputs[0];
    bool *begun = ARENA_ARRAY(e->room->arena, bool, (size_t)out->count + 1);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t at = 0;
        for (uint32_t axis = 0; axis < x->rank; axis++)
            at += strides[axis] * index[axis];
        out->data[at] =
            begun[at] ? array_round(reduce_step(kind, out->data[at], x->data[i]), x->type) : x->data[i];
        begun[at] = true;
        array_next(index, x->rank, x->dims);
    }
    for (int64_t i = 0; kind == 'm' && i < out->count; i++)
        out->data[i] = array_round(out->data[i] * (double)out->count / (double)x->count, x->type);
    return OK;
}

enum status evaluate_ReduceSum(struct evaluation *e)
{
    return reduce(e, 's');
}

enum status evaluate_ReduceMean(struct evaluation *e)
{
    return reduce(e, 'm');
}

enum status evaluate_ReduceMax(struct evaluation *e)
{
    return reduce(e, 'x');
}

enum status evaluate_ReduceMin(struct evaluation *e)
{
    return reduce(e, 'n');
}

enum status evaluate_ReduceProd(struct evaluation *e)
{
    return reduce(e, 'p');
}
