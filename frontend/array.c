/* Making arrays, and reading them in another order. */
#include "frontend/array.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

double array_round(double value, int32_t type)
{
    if (type == ONNX_DOUBLE)
        return value;
    if (onnx_type_is_float(type))
        return (double)(float)value;
    return type == ONNX_BOOL ? value != 0 : trunc(value);
}

enum status array_create(struct array **out, struct array_room *room, int32_t type, uint32_t rank,
                         const int64_t *dims, struct trace *trace)
{
    int64_t count = 1,
            padded = 1; /* padded: as if no axis were empty, so that strides cannot overflow either */
    if (rank > ONNX_MAX_RANK)
        return status_fail(trace, UNSUPPORTED, "a value has %u axes, at most %d are supported", rank,
                           ONNX_MAX_RANK);
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return status_fail(trace, INVALID, "axis %u of a value gets the negative size %" PRId64, i,
                               dims[i]);
        if (__builtin_mul_overflow(padded, dims[i] > 0 ? dims[i] : 1, &padded) || padded > ARRAY_MAX_COUNT)
            return status_fail(trace, UNSUPPORTED, "a value computed from shapes is too large to evaluate");
        count *= dims[i];
    }
    room->used += count;
    if (room->used > ARRAY_MAX_TOTAL)
        return status_fail(trace, UNSUPPORTED, "the values computed from shapes are too large to evaluate");
    struct array *array = ARENA_NEW(room->arena, struct array);
    *array = (struct array){.type = type, .rank = rank, .count = count};
    if (rank > 0)
        memcpy(array->dims, dims, rank * sizeof *dims);
    array->data = ARENA_ARRAY(room->arena, double, (size_t)count + 1);
    *out = array;
    return OK;
}

enum status array_from_data(struct array **out, struct array_room *room, const struct onnx_data *data,
                            struct trace *trace)
{
    TRY_WITH(trace, array_create(out, room, data->type, data->rank, data->dims, trace),
             "while evaluating tensor '" STR_FORMAT "'", STR_ARGUMENT(data->name));
    (*out)->table = data;
    return onnx_data_decode((*out)->data, data, trace);
}

enum status array_from_integers(struct array **out, struct array_room *room, const int64_t *values,
                                uint32_t count, struct trace *trace)
{
    int64_t dims[1] = {count};
    TRY(array_create(out, room, ONNX_INT64, 1, dims, trace));
    for (uint32_t i = 0; i < count; i++)
        (*out)->data[i] = (double)values[i];
    return OK;
}

struct array *array_reshape(struct array_room *room, const struct array *in, uint32_t rank,
                            const int64_t *dims)
{
    struct array *array = ARENA_NEW(room->arena, struct array);
    *array = *in;
    array->rank = rank;
    if (rank > 0)
        memcpy(array->dims, dims, rank * sizeof *dims);
    return array;
}

void array_next(int64_t *index, uint32_t rank, const int64_t *dims)
{
    for (uint32_t axis = rank; axis-- > 0;) {
        if (++index[axis] < dims[axis])
            return;
        index[axis] = 0;
    }
}

enum status array_gather_strided(struct array **out, struct array_room *room, const struct array *in,
                                 uint32_t rank, const int64_t *dims, const int64_t *strides, int64_t offset,
                                 struct trace *trace)
{
    int64_t index[ONNX_MAX_RANK] = {0};
    TRY(array_create(out, room, in->type, rank, dims, trace));
    (*out)->table = in->table;
    for (int64_t i = 0; i < (*out)->count; i++) {
        int64_t at = offset;
        for (uint32_t axis = 0; axis < rank; axis++)
            at += strides[axis] * index[axis];
        (*out)->data[i] = in->data[at];
        array_next(index, rank, dims);
    }
    return OK;
}

void array_strides(const struct array *array, int64_t strides[ONNX_MAX_RANK])
{
    int64_t stride = 1;
    for (uint32_t axis = array->rank; axis-- > 0;) {
        strides[axis] = stride;
        stride *= array->dims[axis];
    }
}

bool array_broadcast(const struct array *in, uint32_t rank, const int64_t *dims,
                     int64_t strides[ONNX_MAX_RANK])
{
    int64_t own[ONNX_MAX_RANK];
    if (in->rank > rank)
        return false;
    array_strides(in, own);
    for (uint32_t axis = 0; axis < rank; axis++) {
        strides[axis] = 0;
        if (axis < rank - in->rank)
            continue;
        uint32_t from = axis - (rank - in->rank);
        if (in->dims[from] == dims[axis])
            strides[axis] = own[from];
        else if (in->dims[from] != 1)
            return false;
    }
    return true;
}

bool array_broadcast_shape(const struct array *a, const struct array *b, uint32_t *rank,
                           int64_t dims[ONNX_MAX_RANK])
{
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (uint32_t axis = 0; axis < *rank; axis++) {
        uint32_t from_end = *rank - axis;
        int64_t x = from_end > a->rank ? 1 : a->dims[a->rank - from_end];
        int64_t y = from_end > b->rank ? 1 : b->dims[b->rank - from_end];
        if (x != y && x != 1 && y != 1)
            return false;
        dims[axis] = x == 1 ? y : x;
    }
    return true;
}

bool array_equal(const struct array *a, const struct array *b)
{
    if (a == b)
        return true;
    if (a->rank != b->rank || memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) != 0)
        return false;
    for (int64_t i = 0; i < a->count; i++)
        if (!(a->data[i] == b->data[i]))
            return false;
    return true;
}

bool array_integer(const struct array *array, int64_t at, int64_t *out)
{
    const double far = 4e18;
    double value = array->data[at];
    if (!(value == trunc(value)))
        return false;
    *out = value > far ? (int64_t)far : value < -far ? -(int64_t)far : (int64_t)value;
    return true;
}
