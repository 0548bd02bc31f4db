/* See frontend/gguf_file.h. */
#include "frontend/gguf_file.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct gguf_file *out;
    const uint8_t *data;
    size_t size, at;
    struct trace *trace;
};

static enum status take(struct reader *r, const uint8_t **out, uint64_t length)
{
    if (length > r->size - r->at)
        return status_fail(r->trace, INVALID,
                           "the file ends at %zu, in the middle of %" PRIu64 " bytes at %zu", r->size, length,
                           r->at);
    *out = r->data + r->at;
    r->at += (size_t)length;
    return OK;
}

static uint64_t little(const uint8_t *bytes, uint32_t count)
{
    uint64_t value = 0;
    for (uint32_t i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static enum status take_number(struct reader *r, uint64_t *out, uint32_t bytes)
{
    const uint8_t *data = NULL;
    TRY(take(r, &data, bytes));
    *out = little(data, bytes);
    return OK;
}

static enum status take_text(struct reader *r, struct str *out, uint64_t most)
{
    uint64_t length = 0;
    const uint8_t *data = NULL;
    size_t place = r->at;
    TRY(take_number(r, &length, 8));
    if (length > most)
        return status_fail(r->trace, INVALID,
                           "a text at %zu has %" PRIu64 " bytes, expected at most %" PRIu64, place, length,
                           most);
    TRY(take(r, &data, length));
    *out = (struct str){(const char *)data, (size_t)length};
    return OK;
}

/* ---- keys ---- */

static const uint8_t type_bytes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

static enum status take_items(struct reader *r, struct gguf_entry *entry)
{
    const uint8_t *data;
    struct str text;
    size_t start = r->at;
    if (entry->type == GGUF_TEXT) {
        for (uint64_t i = 0; i < entry->count; i++)
            TRY(take_text(r, &text, SIZE_MAX));
    } else {
        uint64_t bytes;
        if (__builtin_mul_overflow(entry->count, (uint64_t)type_bytes[entry->type], &bytes))
            return status_fail(r->trace, INVALID, "%" PRIu64 " items", entry->count);
        TRY(take(r, &data, bytes));
    }
    entry->data = r->data + start;
    entry->size = r->at - start;
    return OK;
}

static enum status take_value(struct reader *r, struct gguf_entry *entry)
{
    uint64_t type = 0;
    TRY(take_number(r, &type, 4));
    entry->count = 1;
    entry->is_array = type == GGUF_ARRAY;
    if (entry->is_array) {
        TRY(take_number(r, &type, 4));
        TRY(take_number(r, &entry->count, 8));
    }
    if (type >= GGUF_TYPE_COUNT)
        return status_fail(r->trace, INVALID, "a value of type %" PRIu64 ", expected 0 to %d", type,
                           GGUF_TYPE_COUNT - 1);
    if (type == GGUF_ARRAY)
        return status_fail(r->trace, UNSUPPORTED, "arrays of arrays");
    entry->type = (enum gguf_type)type;
    return take_items(r, entry);
}

static enum status take_entry(struct reader *r)
{
    struct gguf_entry entry = {0};
    TRY(take_text(r, &entry.key, GGUF_MAX_KEY));
    TRY_WITH(r->trace, take_value(r, &entry), "in the key \"%.*s\"",
             (int)(entry.key.length < 100 ? entry.key.length : 100), entry.key.data);
    if (!map_add_text(&r->out->keys, r->out->arena, entry.key, r->out->entries.count))
        return status_fail(r->trace, INVALID, "the key \"%.*s\" is there twice",
                           (int)(entry.key.length < 100 ? entry.key.length : 100), entry.key.data);
    *VEC_PUSH(r->out->arena, &r->out->entries) = entry;
    return OK;
}

/* ---- tensors ---- */

static const struct element_type {
    const char *name;
    const struct quantised *quantised;
    uint32_t bytes; /* of an element that is not quantised */
    enum dtype dtype;
} element_types[] = {
    [0] = {"F32", NULL, 4, DTYPE_F32},
    [1] = {"F16", NULL, 2, DTYPE_F16},
    [2] = {"Q4_0", &quantised_q4_0, 0, DTYPE_F32},
    [3] = {"Q4_1", &quantised_q4_1, 0, DTYPE_F32},
    [6] = {"Q5_0", &quantised_q5_0, 0, DTYPE_F32},
    [7] = {"Q5_1", &quantised_q5_1, 0, DTYPE_F32},
    [8] = {"Q8_0", &quantised_q8_0, 0, DTYPE_F32},
    [9] = {"Q8_1", NULL, 0, DTYPE_F32},
    [10] = {"Q2_K", &quantised_q2_k, 0, DTYPE_F32},
    [11] = {"Q3_K", &quantised_q3_k, 0, DTYPE_F32},
    [12] = {"Q4_K", &quantised_q4_k, 0, DTYPE_F32},
    [13] = {"Q5_K", &quantised_q5_k, 0, DTYPE_F32},
    [14] = {"Q6_K", &quantised_q6_k, 0, DTYPE_F32},
    [15] = {"Q8_K", NULL, 0, DTYPE_F32},
    [30] = {"BF16", NULL, 2, DTYPE_BF16},
};

static enum status find_type(const struct element_type **out, uint64_t type, struct trace *trace)
{
    const struct element_type *t =
        type < sizeof element_types / sizeof *element_types ? &element_types[type] : NULL;
    if (t && (t->quantised || t->bytes > 0)) {
        *out = t;
        return OK;
    }
    if (t && t->name)
        return status_fail(
            trace, UNSUPPORTED,
            "its elements are %s; read are F32, F16, BF16, Q8_0, Q4_0 to Q5_1 and Q2_K to Q6_K", t->name);
    return status_fail(trace, UNSUPPORTED,
                       "its elements are of type %" PRIu64
                       "; read are F32, F16, BF16, Q8_0, Q4_0 to Q5_1 and Q2_K to Q6_K",
                       type);
}

/* Bytes of the content, before any padding. */
static enum status count_bytes(uint64_t *out, const struct gguf_tensor *tensor,
                               const struct element_type *type, struct trace *trace)
{
    uint64_t unit = type->quantised ? type->quantised->elements : 1;
    uint64_t bytes = type->quantised ? type->quantised->bytes : type->bytes;
    uint64_t row = (uint64_t)tensor->dims[tensor->rank - 1];
    if (row % unit != 0)
        return status_fail(trace, INVALID, "its rows of %" PRIu64 " are not whole blocks of %" PRIu64, row,
                           unit);
    *out = row / unit;
    for (uint32_t i = 0; i + 1 < tensor->rank; i++)
        if (__builtin_mul_overflow(*out, (uint64_t)tensor->dims[i], out))
            return status_fail(trace, INVALID, "it has too many elements");
    if (__builtin_mul_overflow(*out, bytes, out) || *out > INT64_MAX / 64)
        return status_fail(trace, INVALID, "it has too many elements");
    return OK;
}

struct place {
    uint64_t from, to; /* in the content */
    uint32_t tensor;
};

static enum status take_shape(struct reader *r, struct gguf_tensor *tensor)
{
    uint64_t rank = 0, size = 0;
    TRY(take_number(r, &rank, 4));
    if (rank < 1 || rank > GGUF_MAX_RANK)
        return status_fail(r->trace, INVALID, "it has %" PRIu64 " axes, expected 1 to %d", rank,
                           GGUF_MAX_RANK);
    tensor->rank = (uint32_t)rank;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        TRY(take_number(r, &size, 8));
        if (size < 1 || size > INT64_MAX)
            return status_fail(r->trace, INVALID, "an axis has %" PRIu64 " elements", size);
        tensor->dims[i] = (int64_t)size;
    }
    return OK;
}

static enum status take_place(struct reader *r, struct gguf_tensor *tensor, struct place *place,
                              uint64_t alignment)
{
    const struct element_type *type = &element_types[0];
    uint64_t number = 0, bytes = 0;
    TRY(take_shape(r, tensor));
    TRY(take_number(r, &number, 4));
    TRY(find_type(&type, number, r->trace));
    TRY(take_number(r, &place->from, 8));
    TRY(count_bytes(&bytes, tensor, type, r->trace));
    tensor->quantised = type->quantised;
    tensor->dtype = type->dtype;
    tensor->size = (size_t)bytes;
    if (place->from % alignment != 0)
        return status_fail(r->trace, INVALID, "its offset %" PRIu64 " is no multiple of %" PRIu64,
                           place->from, alignment);
    if (__builtin_add_overflow(place->from, bytes, &place->to))
        return status_fail(r->trace, INVALID, "its offset is %" PRIu64, place->from);
    return OK;
}

static enum status take_tensor(struct reader *r, struct place *place, uint64_t alignment)
{
    struct gguf_tensor tensor = {0};
    TRY(take_text(r, &tensor.name, GGUF_MAX_NAME));
    TRY_WITH(r->trace, take_place(r, &tensor, place, alignment), "in the tensor '" STR_FORMAT "'",
             STR_ARGUMENT(tensor.name));
    place->tensor = r->out->tensors.count;
    if (!map_add_text(&r->out->names, r->out->arena, tensor.name, place->tensor))
        return status_fail(r->trace, INVALID, "the tensor '" STR_FORMAT "' is there twice",
                           STR_ARGUMENT(tensor.name));
    *VEC_PUSH(r->out->arena, &r->out->tensors) = tensor;
    return OK;
}

static int compare_places(const void *a, const void *b)
{
    uint64_t x = ((const struct place *)a)->from, y = ((const struct place *)b)->from;
    return (x > y) - (x < y);
}

/* Contents inside of what is left of the file, and apart. */
static enum status set_contents(struct reader *r, struct place *places, uint32_t count)
{
    uint64_t content = r->size - r->at, end = 0;
    qsort(places, count, sizeof *places, compare_places);
    for (uint32_t i = 0; i < count; i++) {
        struct gguf_tensor *tensor = &r->out->tensors.items[places[i].tensor];
        if (places[i].to > content)
            return status_fail(r->trace, INVALID,
                               "the tensor '" STR_FORMAT "' ends at byte %" PRIu64
                               " of the contents, which end at %" PRIu64 " (is the file cut off?)",
                               STR_ARGUMENT(tensor->name), places[i].to, content);
        if (places[i].from < end)
            return status_fail(r->trace, INVALID, "the tensor '" STR_FORMAT "' overlaps another",
                               STR_ARGUMENT(tensor->name));
        tensor->data = r->data + r->at + places[i].from;
        end = places[i].to;
    }
    return OK;
}

static enum status find_alignment(struct reader *r, uint64_t *out)
{
    const struct gguf_entry *entry = gguf_find(r->out, "general.alignment");
    int64_t alignment = 32;
    if (entry && (!gguf_integer(entry, &alignment) || alignment < 1 || alignment > 1 << 20 ||
                  (alignment & (alignment - 1)) != 0))
        return status_fail(r->trace, INVALID, "general.alignment: expected a power of two up to 2^20");
    *out = (uint64_t)alignment;
    return OK;
}

static enum status take_tensors(struct reader *r, uint64_t count)
{
    uint64_t alignment = 1;
    struct place *places = ARENA_ARRAY(r->out->arena, struct place, (size_t)count + 1);
    TRY(find_alignment(r, &alignment));
    for (uint64_t i = 0; i < count; i++)
        TRY(take_tensor(r, &places[i], alignment));
    uint64_t padding = (alignment - r->at % alignment) % alignment;
    const uint8_t *skipped;
    if (count > 0)
        TRY(take(r, &skipped, padding));
    return set_contents(r, places, (uint32_t)count);
}

static enum status check_count(struct reader *r, uint64_t count, uint64_t least, const char *what)
{
    if (count <= (r->size - r->at) / least && count <= GGUF_MAX_ENTRIES)
        return OK;
    return status_fail(r->trace, INVALID, "%" PRIu64 " %s in a file of %zu bytes, at most %d are read", count,
                       what, r->size, GGUF_MAX_ENTRIES);
}

enum status gguf_read(struct gguf_file *out, const struct mapping *file, struct trace *trace)
{
    struct reader r = {out, file->data, file->size, 0, trace};
    const uint8_t *magic = (const uint8_t *)"";
    uint64_t version = 0, tensors = 0, keys = 0;
    TRY(take(&r, &magic, 4));
    if (memcmp(magic, "GGUF", 4) != 0)
        return status_fail(trace, INVALID, "the file does not begin with \"GGUF\"");
    TRY(take_number(&r, &version, 4));
    if (version != 2 && version != 3)
        return status_fail(trace, UNSUPPORTED, "GGUF of version %" PRIu64 "%s; versions 2 and 3 are read",
                           version, version > 0 && (version & 0xffff) == 0 ? " (big endian)" : "");
    TRY(take_number(&r, &tensors, 8));
    TRY(take_number(&r, &keys, 8));
    TRY(check_count(&r, keys, 13, "keys"));
    TRY(check_count(&r, tensors, 32, "tensors"));
    for (uint64_t i = 0; i < keys; i++)
        TRY(take_entry(&r));
    return take_tensors(&r, tensors);
}

/* ---- looking things up ---- */

struct gguf_entry *gguf_find(struct gguf_file *file, const char *key)
{
    uint32_t number;
    if (!map_find_text(&file->keys, str_from(key), &number))
        return NULL;
    file->entries.items[number].is_read = true;
    return &file->entries.items[number];
}

static bool is_integer(enum gguf_type type)
{
    return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

bool gguf_integer(const struct gguf_entry *entry, int64_t *out)
{
    if (entry->is_array || !is_integer(entry->type))
        return false;
    uint32_t bytes = type_bytes[entry->type];
    bool is_signed = entry->type % 2 == 1; /* the signed types are the odd ones */
    uint64_t value = little(entry->data, bytes), limit = UINT64_C(1) << (8 * bytes - 1);
    if (value > INT64_MAX || (is_signed && value >= limit))
        return false;
    *out = (int64_t)value;
    return true;
}

bool gguf_real(const struct gguf_entry *entry, double *out)
{
    if (entry->is_array || (entry->type != GGUF_F32 && entry->type != GGUF_F64))
        return false;
    float narrow;
    if (entry->type == GGUF_F32) {
        memcpy(&narrow, entry->data, sizeof narrow);
        *out = (double)narrow;
    } else {
        memcpy(out, entry->data, sizeof *out);
    }
    return isfinite(*out);
}

bool gguf_text(const struct gguf_entry *entry, struct str *out)
{
    if (entry->is_array || entry->type != GGUF_TEXT)
        return false;
    *out = (struct str){(const char *)entry->data + 8, entry->size - 8};
    return true;
}

bool gguf_flag(const struct gguf_entry *entry, bool *out)
{
    if (entry->is_array || entry->type != GGUF_BOOL)
        return false;
    *out = entry->data[0] != 0;
    return true;
}

bool gguf_next_text(const struct gguf_entry *entry, size_t *at, struct str *out)
{
    if (entry->type != GGUF_TEXT || *at >= entry->size)
        return false;
    out->length = (size_t)little(entry->data + *at, 8);
    out->data = (const char *)entry->data + *at + 8;
    *at += 8 + out->length;
    return true;
}

int64_t gguf_item(const struct gguf_entry *entry, uint64_t i)
{
    return (int32_t)little(entry->data + 4 * i, 4);
}
