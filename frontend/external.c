/* Tensors whose data is in another file: location, offset and length are text from the model and are trusted
 * in nothing. Every data file is opened once, inside the model's directory, and stays mapped. */
#include "frontend/data_file.h"
#include "frontend/onnx_file.h"
#include <inttypes.h>
#include <string.h>

struct place {
    struct str location;
    uint64_t offset, length;
    bool has_offset, has_length;
};

static enum status parse_number(uint64_t *out, bool *has, const char *key, const char *text,
                                struct trace *trace)
{
    if (*has)
        return status_fail(trace, INVALID, "external data gives its %s twice", key);
    if (!str_to_u64(str_from(text), out))
        return status_fail(trace, INVALID, "external data has the %s '%s', expected a decimal number", key,
                           text);
    *has = true;
    return OK;
}

static enum status parse_place(struct place *out, const Onnx__TensorProto *tensor, struct trace *trace)
{
    *out = (struct place){0};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = tensor->external_data[i]->key ? tensor->external_data[i]->key : "";
        const char *value = tensor->external_data[i]->value ? tensor->external_data[i]->value : "";
        if (strcmp(key, "location") == 0) {
            if (out->location.length > 0)
                return status_fail(trace, INVALID, "external data gives its location twice");
            out->location = str_from(value);
        } else if (strcmp(key, "offset") == 0) {
            TRY(parse_number(&out->offset, &out->has_offset, key, value, trace));
        } else if (strcmp(key, "length") == 0) {
            TRY(parse_number(&out->length, &out->has_length, key, value, trace));
        } /* checksum and keys of others are ignored */
    }
    if (out->location.length == 0)
        return status_fail(trace, INVALID, "external data without a location");
    return OK;
}

static enum status map_file(uint32_t *index, struct onnx_file *file, struct str location, struct trace *trace)
{
    const struct mapping *mapping;
    if (map_find_text(&file->data_files, location, index))
        return OK;
    TRY(data_file_map(&mapping, file->model, file->path, location, file->options, trace));
    *index = file->model->files.count - 1;
    map_add_text(&file->data_files, &file->arena, location, *index);
    return OK;
}

enum status onnx_external_locate(struct onnx_data *data, struct onnx_file *file,
                                 const Onnx__TensorProto *tensor, struct trace *trace)
{
    struct place place;
    uint32_t index;
    TRY(parse_place(&place, tensor, trace));
    TRY(map_file(&index, file, place.location, trace));
    const struct mapping *mapping = file->model->files.items[index];
    if (place.offset > mapping->size)
        return status_fail(trace, INVALID,
                           "external data starts at byte %" PRIu64 " of '" STR_FORMAT
                           "', which has %zu bytes",
                           place.offset, STR_ARGUMENT(place.location), mapping->size);
    uint64_t rest = mapping->size - place.offset;
    if (!place.has_length)
        place.length = rest;
    if (place.length > rest)
        return status_fail(trace, INVALID,
                           "external data takes %" PRIu64 " bytes from byte %" PRIu64 " of '" STR_FORMAT
                           "', which has %zu bytes",
                           place.length, place.offset, STR_ARGUMENT(place.location), mapping->size);
    data->mapping = mapping;
    data->bytes = mapping->data + place.offset;
    data->size = place.length;
    return OK;
}
