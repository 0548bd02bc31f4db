/* See store/tensor_form.h. */
#include "store/tensor_form.h"

#include "base/str.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t element_size(const char *dtype)
{
    static const struct {
        const char *name;
        uint32_t size;
    } sizes[] = {{"bool", 1}, {"u8", 1},  {"i8", 1},  {"u16", 2}, {"i16", 2}, {"f16", 2}, {"bf16", 2},
                 {"u32", 4},  {"i32", 4}, {"f32", 4}, {"u64", 8}, {"i64", 8}, {"f64", 8}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(dtype, sizes[i].name) == 0)
            return sizes[i].size;
    return 0;
}

enum status tensor_form_init(struct tensor_form *out, const char *dtype, uint32_t rank, const int64_t *dims,
                             struct trace *trace)
{
    *out = (struct tensor_form){.element_size = element_size(dtype), .rank = rank, .count = 1};
    if (out->element_size == 0)
        return status_fail(trace, INVALID, "a tensor of element type \"%s\" cannot be stored", dtype);
    memcpy(out->dtype, dtype, strlen(dtype));
    if (rank > TENSOR_RANK)
        return status_fail(trace, INVALID,
                           "a tensor of rank %" PRIu32 " cannot be stored; the largest rank is %d", rank,
                           TENSOR_RANK);
    /* Zeros are left out of the bound, so that the header always has room for the digits. */
    int64_t bytes = out->element_size;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return status_fail(trace, INVALID, "dim %" PRIu32 " of a tensor is %" PRId64, i, dims[i]);
        if (dims[i] > 0 && __builtin_mul_overflow(bytes, dims[i], &bytes))
            return status_fail(trace, INVALID, "a tensor of 2^63 bytes or more cannot be stored");
        out->dims[i] = dims[i];
        out->count *= (uint64_t)dims[i];
    }
    out->bytes = out->count * out->element_size;
    return OK;
}

void tensor_form_to_header(char header[TENSOR_HEADER], const struct tensor_form *form)
{
    char text[256];
    int used = snprintf(text, sizeof text, "%s", form->dtype);
    for (uint32_t i = 0; i < form->rank; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, " %" PRId64, form->dims[i]);
    assert(used < TENSOR_HEADER);
    memset(header, ' ', TENSOR_HEADER - 1);
    memcpy(header, text, (size_t)used);
    header[TENSOR_HEADER - 1] = '\n';
}

/* The spelling is checked by writing the header again, so only the words have to be found here. */
bool tensor_form_from_header(struct tensor_form *out, const uint8_t header[TENSOR_HEADER])
{
    const char *text = (const char *)header;
    char dtype[TENSOR_DTYPE] = "", canonical[TENSOR_HEADER];
    int64_t dims[TENSOR_RANK];
    uint32_t rank = 0;
    size_t at = 0;
    for (bool first = true; at < TENSOR_HEADER - 1 && text[at] != ' '; first = false) {
        size_t end = at;
        while (end < TENSOR_HEADER - 1 && text[end] != ' ')
            end++;
        if (first && end - at < TENSOR_DTYPE)
            memcpy(dtype, text + at, end - at);
        else if (first || rank == TENSOR_RANK ||
                 !str_to_i64((struct str){text + at, end - at}, &dims[rank++]))
            return false;
        at = end + 1;
    }
    if (tensor_form_init(out, dtype, rank, dims, NULL) != OK)
        return false;
    tensor_form_to_header(canonical, out);
    return memcmp(canonical, header, TENSOR_HEADER) == 0;
}
