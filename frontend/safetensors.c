/* See frontend/safetensors.h. The header is read entry by entry into places, which are sorted by offset to
 * see that they cover the file. */
#include "frontend/safetensors.h"
#include "frontend/json_object.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct element_type {
    const char *name;
    uint32_t bits;
    bool is_float;
    enum dtype dtype; /* of a weight */
} types[] = {
    {"F32", 32, true, DTYPE_F32}, {"F16", 16, true, DTYPE_F16}, {"BF16", 16, true, DTYPE_BF16},
    {"F64", 64, false, 0},        {"I64", 64, false, 0},        {"U64", 64, false, 0},
    {"C64", 64, false, 0},        {"I32", 32, false, 0},        {"U32", 32, false, 0},
    {"I16", 16, false, 0},        {"U16", 16, false, 0},        {"I8", 8, false, 0},
    {"U8", 8, false, 0},          {"BOOL", 8, false, 0},        {"F8_E4M3", 8, false, 0},
    {"F8_E5M2", 8, false, 0},     {"F8_E8M0", 8, false, 0},     {"F8_E4M3FNUZ", 8, false, 0},
    {"F8_E5M2FNUZ", 8, false, 0}, {"F6_E2M3", 6, false, 0},     {"F6_E3M2", 6, false, 0},
    {"F4", 4, false, 0},
};

struct place {
    const char *name;
    uint64_t from, to;
};

struct reader {
    const struct mapping *file;
    const uint8_t *content; /* after the header */
    uint64_t content_size;
    struct weight_set *set;
    struct arena arena;
    VEC(struct place) places;
    struct trace *trace;
};

static enum status read_type(const struct element_type **out, const json_t *entry, struct trace *trace)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name)
        return status_fail(trace, INVALID, "it has no \"dtype\"");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) {
            *out = &types[i];
            return OK;
        }
    return status_fail(trace, UNSUPPORTED, "its dtype \"%.40s\" is not known", name);
}

static enum status read_shape(struct stored_weight *out, const json_t *entry, uint32_t bits, uint64_t *bytes,
                              struct trace *trace)
{
    const json_t *shape = json_object_get(entry, "shape");
    uint64_t total = bits;
    if (!json_is_array(shape))
        return status_fail(trace, INVALID, "it has no \"shape\"");
    if (json_array_size(shape) > STORED_MAX_RANK)
        return status_fail(trace, UNSUPPORTED, "it has %zu axes, at most %d are supported",
                           json_array_size(shape), STORED_MAX_RANK);
    out->rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < out->rank; i++) {
        if (!json_read_integer(json_array_get(shape, i), 0, &out->dims[i]))
            return status_fail(trace, INVALID, "axis %u is no size", i);
        if (__builtin_mul_overflow(total, (uint64_t)out->dims[i], &total))
            return status_fail(trace, INVALID, "the number of its bits overflows");
    }
    if (total % 8 != 0)
        return status_fail(trace, INVALID, "its elements do not fill whole bytes");
    *bytes = total / 8;
    return OK;
}

static enum status read_place(struct reader *r, struct place *out, const json_t *entry, uint64_t bytes)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    int64_t from, to;
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !json_read_integer(json_array_get(offsets, 0), 0, &from) ||
        !json_read_integer(json_array_get(offsets, 1), 0, &to))
        return status_fail(r->trace, INVALID, "its \"data_offsets\" are not two offsets");
    out->from = (uint64_t)from;
    out->to = (uint64_t)to;
    if (out->from > out->to || out->to > r->content_size)
        return status_fail(r->trace, INVALID,
                           "its data_offsets [%" PRIu64 ", %" PRIu64 "] are outside the file's %" PRIu64
                           " bytes of elements (is the file cut off?)",
                           out->from, out->to, r->content_size);
    if (out->to - out->from != bytes)
        return status_fail(r->trace, INVALID,
                           "its shape takes %" PRIu64 " bytes, its data_offsets give %" PRIu64, bytes,
                           out->to - out->from);
    return OK;
}

static enum status check_members(const json_t *entry, struct trace *trace)
{
    const char *key;
    json_t *value;
    if (!json_is_object(entry))
        return status_fail(trace, INVALID, "it is no object");
    json_object_foreach((json_t *)(uintptr_t)entry, key, value)
    {
        if (strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 && strcmp(key, "data_offsets") != 0)
            return status_fail(trace, INVALID, "it has the unknown member \"%.40s\"", key);
    }
    return OK;
}

static enum status read_tensor(struct reader *r, const char *name, const json_t *entry)
{
    struct stored_weight weight = {.name = str_from(name)};
    const struct element_type *type = NULL;
    struct place place = {.name = name};
    uint64_t bytes = 0;
    TRY(check_members(entry, r->trace));
    TRY(read_type(&type, entry, r->trace));
    TRY(read_shape(&weight, entry, type->bits, &bytes, r->trace));
    TRY(read_place(r, &place, entry, bytes));
    weight.type = type->name;
    weight.is_float = type->is_float && weight.rank >= 1 && weight.rank <= TENSOR_MAX_RANK && bytes > 0;
    if (weight.is_float)
        TRY(tensor_view_dense(&weight.view, r->file, r->content + place.from, bytes, type->dtype, weight.rank,
                              weight.dims, r->trace));
    *VEC_PUSH(&r->arena, &r->places) = place;
    return weight_set_add(r->set, &weight, r->trace);
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

/* Sorted by offset, each tensor begins where the one before ended. */
static enum status check_cover(struct reader *r)
{
    uint64_t end = 0;
    if (r->places.count > 0)
        qsort(r->places.items, r->places.count, sizeof *r->places.items, compare_places);
    for (uint32_t i = 0; i < r->places.count; i++) {
        const struct place *place = &r->places.items[i];
        if (place->from != end)
            return status_fail(r->trace, INVALID,
                               "tensor '%s' begins at byte %" PRIu64
                               " of the elements, %s one before ends at "
                               "%" PRIu64,
                               place->name, place->from,
                               place->from < end ? "where it overlaps: the" : "after a hole: the", end);
        end = place->to;
    }
    if (end != r->content_size)
        return status_fail(r->trace, INVALID,
                           "the tensors end at byte %" PRIu64 " of the elements, the file has %" PRIu64, end,
                           r->content_size);
    return OK;
}

static enum status check_metadata(const json_t *metadata, struct trace *trace)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return status_fail(trace, INVALID, "\"__metadata__\" is no object");
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (!json_is_string(value))
            return status_fail(trace, INVALID, "\"__metadata__\" has the member \"%.40s\", which is no text",
                               key);
    }
    return OK;
}

static enum status read_entries(struct reader *r, const json_t *header)
{
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            TRY(check_metadata(entry, r->trace));
        else
            TRY_WITH(r->trace, read_tensor(r, name, entry), "while reading tensor '%.200s'", name);
    }
    return check_cover(r);
}

static enum status find_header(struct reader *r, struct str *text)
{
    const struct mapping *file = r->file;
    uint64_t length = 0;
    if (file->size < sizeof length)
        return status_fail(r->trace, INVALID, "no safetensors file: expected at least %zu bytes, found %zu",
                           sizeof length, file->size);
    for (uint32_t i = sizeof length; i-- > 0;)
        length = length << 8 | file->data[i];
    if (length > SAFETENSORS_MAX_HEADER || length > file->size - sizeof length)
        return status_fail(r->trace, INVALID,
                           "no safetensors file: its header would have %" PRIu64
                           " bytes, the file has %zu and a "
                           "header at most %d",
                           length, file->size, SAFETENSORS_MAX_HEADER);
    *text = (struct str){(const char *)file->data + sizeof length, length};
    if (length == 0 || text->data[0] != '{')
        return status_fail(r->trace, INVALID, "no safetensors file: its header does not begin with '{'");
    if (text->data[length - 1] == '\0')
        return status_fail(r->trace, INVALID, "the header is padded with zero bytes, expected blanks");
    r->content = file->data + sizeof length + length;
    r->content_size = file->size - sizeof length - length;
    return OK;
}

enum status safetensors_read(struct weight_set *out, const struct mapping *file, struct trace *trace)
{
    struct reader r = {.file = file, .set = out, .trace = trace};
    struct str text;
    json_t *header = NULL;
    enum status status = find_header(&r, &text);
    if (status == OK)
        status = json_object_read(&header, text, trace);
    if (status == OK)
        status = read_entries(&r, header);
    json_decref(header);
    arena_release(&r.arena);
    return status;
}
