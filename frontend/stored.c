/* Stored tensors pass through operators that only rearrange them as views of the file, so that no weight is
 * read at import. Everything else reads them (import_materialise). */
#include "frontend/stored.h"
#include <string.h>

bool stored_is(const struct import_value *value)
{
    return value && value->kind == VALUE_CONCRETE && value->has_weight && !value->at[0];
}

/* An array with a shape and no elements: the layout operators that only reshape do not look at elements. */
static struct array shape_only(const struct tensor_view *view)
{
    struct array array = {.type = ONNX_FLOAT, .rank = view->rank, .count = tensor_view_count(view)};
    memcpy(array.dims, view->dims, view->rank * sizeof view->dims[0]);
    return array;
}

static bool reshaped(struct tensor_view *out, const struct tensor_view *in, const struct array *shape)
{
    if (shape->rank == 0 || shape->rank > TENSOR_MAX_RANK || !tensor_view_is_dense(in))
        return false;
    int64_t stride = 1;
    *out = *in;
    out->rank = shape->rank;
    for (uint32_t axis = TENSOR_MAX_RANK; axis-- > 0;) {
        out->dims[axis] = axis < shape->rank ? shape->dims[axis] : 0;
        out->strides[axis] = axis < shape->rank ? stride : 0;
        stride *= axis < shape->rank ? shape->dims[axis] : 1;
    }
    return true;
}

enum status stored_pass(struct import_value *out, bool *passed, struct evaluation *e,
                        const struct import_value *in, enum status (*evaluate)(struct evaluation *))
{
    const char *op = e->node->op_type;
    *passed = false;
    *out = *in;
    if (strcmp(op, "Cast") == 0 || strcmp(op, "CastLike") == 0 || strcmp(op, "Identity") == 0 ||
        strcmp(op, "Dropout") == 0) {
        int64_t to = onnx_integer(e->node, "to", ONNX_FLOAT);
        *passed = onnx_type_is_float((int32_t)to) && e->output_count == 1;
        return OK;
    }
    if (strcmp(op, "Transpose") == 0) {
        uint32_t order[ONNX_MAX_RANK];
        if (in->weight.rank != 2)
            return OK;
        TRY(evaluate_permutation(e, 2, order));
        if (order[0] == 1)
            out->weight = tensor_view_transpose(&in->weight);
        *passed = true;
        return OK;
    }
    struct array shape = shape_only(&in->weight);
    e->inputs[0] = &shape;
    TRY(evaluate(e));
    if (strcmp(op, "Shape") == 0) {
        *out = (struct import_value){.kind = VALUE_CONCRETE};
        for (uint32_t p = 0; p < PROBES; p++)
            out->at[p] = e->outputs[0];
        *passed = true;
    } else {
        *passed = reshaped(&out->weight, &in->weight, e->outputs[0]);
    }
    e->inputs[0] = NULL;
    return OK;
}

static enum status read_view(struct array **out, struct importer *im, const struct import_value *value,
                             struct trace *trace)
{
    const struct tensor_view *view = &value->weight;
    TRY(array_create(out, &im->room, ONNX_FLOAT, view->rank, view->dims, trace));
    float row[256];
    for (int64_t at = 0; at < (*out)->count; at += 256) {
        int64_t count = (*out)->count - at < 256 ? (*out)->count - at : 256;
        tensor_view_read_f32(view, at, count, row);
        for (int64_t i = 0; i < count; i++)
            (*out)->data[at + i] = (double)row[i];
    }
    (*out)->table = value->data;
    return OK;
}

enum status import_materialise(struct importer *im, struct import_value *value, struct trace *trace)
{
    struct array *array;
    if (value->kind != VALUE_CONCRETE || value->at[0])
        return OK;
    if (value->has_weight)
        TRY(read_view(&array, im, value, trace));
    else
        TRY(array_from_data(&array, &im->room, value->data, trace));
    for (uint32_t p = 0; p < PROBES; p++)
        value->at[p] = array;
    return OK;
}
