/* Operators that pick or place elements by index. */
#include "frontend/evaluate.h"
#include <inttypes.h>
#include <string.h>

static enum status need_inputs(const struct evaluation *e, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (i >= e->input_count || !e->inputs[i])
            return status_fail(e->trace, INVALID, "expected %u inputs", count);
    return OK;
}

enum status evaluate_Gather(struct evaluation *e)
{
    TRY(need_inputs(e, 2));
    const struct array *x = e->inputs[0], *indices = e->inputs[1];
    uint32_t axis, rank = 0;
    if (!onnx_resolve_axis(onnx_integer(e->node, "axis", 0), x->rank, &axis))
        return status_fail(e->trace, INVALID, "the axis is out of range");
    if (x->rank - 1 + indices->rank > ONNX_MAX_RANK)
        return status_fail(e->trace, UNSUPPORTED, "the result has more than %d axes", ONNX_MAX_RANK);
    int64_t dims[ONNX_MAX_RANK], inner = 1, outer = 1, size = x->dims[axis];
    for (uint32_t i = 0; i < axis; i++) {
        dims[rank++] = x->dims[i];
        outer *= x->dims[i];
    }
    for (uint32_t i = 0; i < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        dims[rank++] = x->dims[i];
        inner *= x->dims[i];
    }
    TRY(array_create(&e->outputs[0], e->room, x->type, rank, dims, e->trace));
    e->outputs[0]->table = x->table;
    for (int64_t i = 0; i < indices->count; i++) {
        int64_t at;
        if (!array_integer(indices, i, &at) || at < -size || at >= size)
            return status_fail(e->trace, INVALID, "an index is out of range for an axis of %" PRId64, size);
        at = at < 0 ? at + size : at;
        for (int64_t o = 0; o < outer && inner > 0; o++)
            memcpy(e->outputs[0]->data + (o * indices->count + i) * inner, x->data + (o * size + at) * inner,
                   (size_t)inner * sizeof(double));
    }
    return OK;
}

/* The offset in x that row `row` of the index tuples points to. */
static enum status tuple_offset(int64_t *out, const struct evaluation *e, const struct array *indices,
                                int64_t row, int64_t width, const struct array *x, const int64_t *strides)
{
    *out = 0;
    for (int64_t i = 0; i < width; i++) {
        int64_t at, size = x->dims[i];
        if (!array_integer(indices, row * width + i, &at) || at < -size || at >= size)
            return status_fail(e->trace, INVALID, "an index is out of range for an axis of %" PRId64, size);
        *out += (at < 0 ? at + size : at) * strides[i];
    }
    return OK;
}

static enum status tuple_shape(const struct evaluation *e, const struct array *x, const struct array *indices,
                               int64_t *width, int64_t *length, int64_t strides[ONNX_MAX_RANK])
{
    *width = indices->rank > 0 ? indices->dims[indices->rank - 1] : 0;
    if (*width < 1 || *width > x->rank)
        return status_fail(e->trace, INVALID, "index tuples of %" PRId64 " numbers for %u axes", *width,
                           x->rank);
    array_strides(x, strides);
    *length = strides[*width - 1];
    return OK;
}

enum status evaluate_GatherND(struct evaluation *e)
{
    TRY(need_inputs(e, 2));
    const struct array *x = e->inputs[0], *indices = e->inputs[1];
    int64_t width = 0, length = 0, strides[ONNX_MAX_RANK], dims[2 * ONNX_MAX_RANK], from;
    uint32_t rank = 0;
    if (onnx_integer(e->node, "batch_dims", 0) != 0)
        return status_fail(e->trace, UNSUPPORTED, "batch_dims is not supported");
    TRY(tuple_shape(e, x, indices, &width, &length, strides));
    for (uint32_t i = 0; i + 1 < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (uint32_t i = (uint32_t)width; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    TRY(array_create(&e->outputs[0], e->room, x->type, rank, dims, e->trace));
    e->outputs[0]->table = x->table;
    for (int64_t row = 0; row < indices->count / width; row++) {
        TRY(tuple_offset(&from, e, indices, row, width, x, strides));
        memcpy(e->outputs[0]->data + row * length, x->data + from, (size_t)length * sizeof(double));
    }
    return OK;
}

enum status evaluate_ScatterND(struct evaluation *e)
{
    TRY(need_inputs(e, 3));
    const struct array *x = e->inputs[0], *indices = e->inputs[1], *updates = e->inputs[2];
    int64_t width = 0, length = 0, strides[ONNX_MAX_RANK], to;
    const Onnx__AttributeProto *reduction = onnx_find_attribute(e->node, "reduction");
    if (reduction && !onnx_is_text(e->node, "reduction", "none"))
        return status_fail(e->trace, UNSUPPORTED, "a reduction is not supported");
    TRY(tuple_shape(e, x, indices, &width, &length, strides));
    int64_t rows = indices->count / width;
    if (updates->count != rows * length)
        return status_fail(e->trace, INVALID, "%" PRId64 " updates, expected %" PRId64, updates->count,
                           rows * length);
    TRY(array_create(&e->outputs[0], e->room, x->type, x->rank, x->dims, e->trace));
    memcpy(e->outputs[0]->data, x->data, (size_t)x->count * sizeof(double));
    for (int64_t row = 0; row < rows; row++) {
        TRY(tuple_offset(&to, e, indices, row, width, x, strides));
        memcpy(e->outputs[0]->data + to, updates->data + row * length, (size_t)length * sizeof(double));
    }
    return OK;
}
