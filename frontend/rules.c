/* What all rules use. */
#include "frontend/importer.h"
#include <string.h>

enum status rule_refuse(struct rule *rule, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum status status = status_vfail(rule->trace, UNSUPPORTED, format, arguments);
    va_end(arguments);
    return status;
}

bool rule_is_activation(const struct rule *rule, uint32_t slot)
{
    return slot < rule->input_count && rule->inputs[slot] && rule->inputs[slot]->kind == VALUE_ACTIVATION;
}

bool rule_is_concrete(const struct rule *rule, uint32_t slot)
{
    return slot < rule->input_count && rule->inputs[slot] && rule->inputs[slot]->kind == VALUE_CONCRETE;
}

bool rule_number(struct rule *rule, uint32_t slot, double *out)
{
    if (!rule_is_concrete(rule, slot))
        return false;
    struct import_value *value = rule->inputs[slot];
    if (!value->at[0] && (value->has_weight ? tensor_view_count(&value->weight) : value->data->count) != 1)
        return false;
    if (import_materialise(rule->im, value, NULL) != OK)
        return false;
    for (uint32_t p = 0; p < PROBES; p++)
        if (value->at[p]->count != 1 || value->at[p]->data[0] != value->at[0]->data[0])
            return false;
    *out = value->at[0]->data[0];
    return true;
}

void rule_set(struct rule *rule, uint32_t output, uint32_t term, const struct view *view)
{
    rule->outputs[output] = (struct import_value){.kind = VALUE_ACTIVATION, .term = term, .view = *view};
}

uint32_t rule_term(struct rule *rule, struct term term)
{
    return term_add(&rule->im->terms, term, rule->im->node);
}

const struct term *rule_get(const struct rule *rule, const struct import_value *value)
{
    return term_get(&rule->im->terms, value->term);
}

/* Numbers that the file computes, the same at every probe, become a weight on the model's arena. */
static bool keep_computed(struct rule *rule, struct import_value *value)
{
    enum { LONGEST = 1 << 20 };
    if (value->has_weight || import_materialise(rule->im, value, NULL) != OK)
        return value->has_weight;
    const struct array *array = value->at[0];
    if (!onnx_type_is_float(array->type) || array->count > LONGEST || array->rank > TENSOR_MAX_RANK)
        return false;
    for (uint32_t p = 1; p < PROBES; p++)
        if (value->at[p] != array && !array_equal(value->at[p], array))
            return false;
    float *values = ARENA_ARRAY(&rule->im->model->arena, float, (size_t)array->count + 1);
    for (int64_t i = 0; i < array->count; i++)
        values[i] = (float)array->data[i];
    value->has_weight = tensor_view_dense(&value->weight, NULL, (const uint8_t *)values,
                                          (size_t)array->count * sizeof *values, DTYPE_F32, array->rank,
                                          array->dims, NULL) == OK;
    return value->has_weight;
}

bool rule_vector(struct rule *rule, uint32_t slot, int64_t size, uint32_t *weight)
{
    if (!rule_is_concrete(rule, slot) || !keep_computed(rule, rule->inputs[slot]))
        return false;
    struct tensor_view view = rule->inputs[slot]->weight;
    uint32_t wide = 0;
    int64_t stride = 1;
    /* Broadcasting aligns the last axes: only the last may be wide. */
    for (uint32_t axis = 0; axis < view.rank; axis++)
        if (view.dims[axis] != 1) {
            wide++;
            stride = view.strides[axis];
            if (axis + 1 != view.rank || view.dims[axis] != size || view.index[axis])
                return false;
        }
    if (wide != (size != 1))
        return false;
    struct tensor_view vector = view;
    memset(vector.dims, 0, sizeof vector.dims);
    memset(vector.strides, 0, sizeof vector.strides);
    vector.rank = 1;
    vector.dims[0] = size;
    vector.strides[0] = stride;
    *weight = import_weight(rule->im, &vector);
    return true;
}
