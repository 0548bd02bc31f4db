/* Locating and decoding the elements of tensors. */
#include "frontend/onnx_file.h"
#include "frontend/wire.h"
#include <inttypes.h>
#include <string.h>

enum {
    FIELD_FLOAT_DATA = 4,
    FIELD_INT32_DATA = 5,
    FIELD_INT64_DATA = 7,
    FIELD_RAW_DATA = 9,
    FIELD_DOUBLE_DATA = 10,
    FIELD_UINT64_DATA = 11
};
enum { LOCATION_EXTERNAL = 1 };

static enum status check_shape(struct onnx_data *data, const Onnx__TensorProto *tensor, struct trace *trace)
{
    if (tensor->n_dims > ONNX_MAX_RANK)
        return status_fail(trace, UNSUPPORTED, "%zu axes, at most %d are supported", tensor->n_dims,
                           ONNX_MAX_RANK);
    data->rank = (uint32_t)tensor->n_dims;
    data->count = 1;
    for (uint32_t i = 0; i < data->rank; i++) {
        data->dims[i] = tensor->dims[i];
        if (data->dims[i] < 0)
            return status_fail(trace, INVALID, "axis %u has the negative size %" PRId64, i, data->dims[i]);
        if (__builtin_mul_overflow(data->count, data->dims[i], &data->count))
            return status_fail(trace, INVALID, "the number of elements overflows");
    }
    size_t bytes;
    if (!size_multiply((size_t)data->count, 8, &bytes))
        return status_fail(trace, INVALID, "the number of bytes overflows");
    return OK;
}

/* The field that may hold elements of this type besides raw data (onnx.proto, comments of TensorProto). */
static uint32_t typed_field(int32_t type)
{
    switch (type) {
    case ONNX_FLOAT:
        return FIELD_FLOAT_DATA;
    case ONNX_DOUBLE:
        return FIELD_DOUBLE_DATA;
    case ONNX_INT64:
        return FIELD_INT64_DATA;
    case ONNX_UINT32:
    case ONNX_UINT64:
        return FIELD_UINT64_DATA;
    default:
        return FIELD_INT32_DATA;
    }
}

static bool is_dense(const struct onnx_data *data)
{
    return data->field == FIELD_RAW_DATA || data->field == FIELD_FLOAT_DATA ||
           data->field == FIELD_DOUBLE_DATA;
}

static enum status check_payload(const struct onnx_data *data, struct trace *trace)
{
    if (data->field != FIELD_RAW_DATA && data->field != typed_field(data->type))
        return status_fail(trace, INVALID, "elements of type %s are in field %u", onnx_type_name(data->type),
                           data->field);
    size_t expected = (size_t)data->count * onnx_type_size(data->type);
    if (is_dense(data) && data->size != expected)
        return status_fail(trace, INVALID, "%" PRId64 " elements of type %s take %zu bytes, found %zu",
                           data->count, onnx_type_name(data->type), expected, data->size);
    /* A varint takes at least one byte: this bounds what decoding allocates. */
    if (!is_dense(data) && (size_t)data->count > data->size)
        return status_fail(trace, INVALID, "%" PRId64 " elements of type %s do not fit %zu bytes",
                           data->count, onnx_type_name(data->type), data->size);
    return OK;
}

static enum status locate(struct onnx_data *out, struct onnx_file *file, const Onnx__TensorProto *tensor,
                          struct trace *trace)
{
    out->type = tensor->data_type;
    if (onnx_type_size(out->type) == 0)
        return status_fail(trace, UNSUPPORTED, "elements of type %s (%d) are not supported",
                           onnx_type_name(out->type), out->type);
    TRY(check_shape(out, tensor, trace));
    out->field = FIELD_RAW_DATA;
    if (tensor->data_location == LOCATION_EXTERNAL) {
        if (tensor->has_payload_field)
            return status_fail(trace, INVALID, "data both inside the file and outside");
        TRY(onnx_external_locate(out, file, tensor, trace));
    } else if (tensor->data_location != 0) {
        return status_fail(trace, INVALID, "unknown data location %d", tensor->data_location);
    } else if (tensor->has_payload_field) {
        const struct mapping *mapping = file->model->files.items[0];
        out->field = tensor->payload_field;
        out->mapping = mapping;
        out->bytes = mapping->data + tensor->payload_offset;
        out->size = tensor->payload_length;
    }
    return check_payload(out, trace);
}

enum status onnx_data_locate(struct onnx_data *out, struct onnx_file *file, const Onnx__TensorProto *tensor,
                             struct trace *trace)
{
    *out = (struct onnx_data){.name = str_from(tensor->name ? tensor->name : "")};
    TRY_WITH(trace, locate(out, file, tensor, trace), "in tensor '" STR_FORMAT "'", STR_ARGUMENT(out->name));
    return OK;
}

bool onnx_data_view(struct tensor_view *out, const struct onnx_data *data)
{
    enum dtype dtype = data->type == ONNX_FLOAT16    ? DTYPE_F16
                       : data->type == ONNX_BFLOAT16 ? DTYPE_BF16
                                                     : DTYPE_F32;
    if (!is_dense(data) || data->rank == 0 || data->rank > TENSOR_MAX_RANK || data->count == 0)
        return false;
    if (data->type != ONNX_FLOAT && data->type != ONNX_FLOAT16 && data->type != ONNX_BFLOAT16)
        return false;
    return tensor_view_dense(out, data->mapping, data->bytes, data->size, dtype, data->rank, data->dims,
                             NULL) == OK;
}

static double half_to_double(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double fraction = bits & 1023;
    double value = exponent == 31  ? (fraction != 0 ? __builtin_nan("") : __builtin_inf())
                   : exponent == 0 ? __builtin_ldexp(fraction, -24)
                                   : __builtin_ldexp(fraction + 1024, exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static double bfloat_to_double(uint16_t bits)
{
    uint32_t word = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return (double)value;
}

#define LOAD(type)                                 \
    do {                                           \
        type element_;                             \
        memcpy(&element_, bytes, sizeof element_); \
        return (double)element_;                   \
    } while (0)

static double raw_to_double(const uint8_t *bytes, int32_t type)
{
    uint16_t half;
    switch (type) {
    case ONNX_FLOAT:
        LOAD(float);
    case ONNX_DOUBLE:
        LOAD(double);
    case ONNX_INT8:
        LOAD(int8_t);
    case ONNX_UINT16:
        LOAD(uint16_t);
    case ONNX_INT16:
        LOAD(int16_t);
    case ONNX_INT32:
        LOAD(int32_t);
    case ONNX_UINT32:
        LOAD(uint32_t);
    case ONNX_INT64:
        LOAD(int64_t);
    case ONNX_UINT64:
        LOAD(uint64_t);
    case ONNX_FLOAT16:
    case ONNX_BFLOAT16:
        memcpy(&half, bytes, sizeof half);
        return type == ONNX_FLOAT16 ? half_to_double(half) : bfloat_to_double(half);
    default: /* BOOL, UINT8 */
        return (double)*bytes;
    }
}

/* One varint of int32_data, int64_data or uint64_data: negative numbers are sign-extended to 64 bits. */
static double varint_to_double(uint64_t value, int32_t type)
{
    switch (type) {
    case ONNX_FLOAT16:
        return half_to_double((uint16_t)value);
    case ONNX_BFLOAT16:
        return bfloat_to_double((uint16_t)value);
    case ONNX_UINT32:
    case ONNX_UINT64:
        return (double)value;
    default:
        return (double)(int64_t)value;
    }
}

enum status onnx_data_decode(double *out, const struct onnx_data *data, struct trace *trace)
{
    size_t size = onnx_type_size(data->type);
    if (is_dense(data)) {
        for (int64_t i = 0; i < data->count; i++)
            out[i] = raw_to_double(data->bytes + (size_t)i * size, data->type);
        return OK;
    }
    const uint8_t *at = data->bytes, *end = at + data->size;
    uint64_t value;
    for (int64_t i = 0; i < data->count; i++) {
        if (!wire_read_varint(&at, end, &value))
            return status_fail(trace, INVALID, "tensor '" STR_FORMAT "' has fewer than %" PRId64 " elements",
                               STR_ARGUMENT(data->name), data->count);
        out[i] = varint_to_double(value, data->type);
    }
    if (at != end)
        return status_fail(trace, INVALID, "tensor '" STR_FORMAT "' has more than %" PRId64 " elements",
                           STR_ARGUMENT(data->name), data->count);
    return OK;
}
