/* Planes of bytes. */
#include "data/targets.h"
#include "base/file.h"
#include "shaders/scalar/convert.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (!memory)
        BUG("out of memory for %zu targets", count);
    return memory;
}

void targets_init(struct targets *out, uint32_t tokens, uint32_t kept)
{
    size_t count;
    if (!size_multiply(tokens, kept, &count))
        BUG("targets of %u x %u", tokens, kept);
    *out = (struct targets){.tokens = tokens,
                            .kept = kept,
                            .ids = allocate(count, sizeof *out->ids),
                            .logs = allocate(count, sizeof *out->logs),
                            .rest = allocate(tokens, sizeof *out->rest)};
}

void targets_release(struct targets *targets)
{
    free(targets->ids);
    free(targets->logs);
    free(targets->rest);
    *targets = (struct targets){0};
}

bool targets_type_from_name(struct str name, enum targets_type *out)
{
    *out = str_is(name, "f16") ? TARGETS_F16 : TARGETS_F32;
    return str_is(name, "f16") || str_is(name, "f32");
}

static size_t id_bytes(const struct targets_form *form)
{
    return form->vocabulary <= 1 << 8    ? 1
           : form->vocabulary <= 1 << 16 ? 2
           : form->vocabulary <= 1 << 24 ? 3
                                         : 4;
}

static size_t log_bytes(const struct targets_form *form)
{
    return form->type == TARGETS_F16 ? 2 : 4;
}

size_t targets_size(const struct targets_form *form)
{
    size_t pairs = (size_t)form->tokens * form->kept;
    return pairs * (id_bytes(form) + log_bytes(form)) + form->tokens * log_bytes(form);
}

/* Element i of `count`, in planes of `bytes` each. */
static void put(uint8_t *planes, size_t count, size_t bytes, size_t i, uint32_t value)
{
    for (size_t b = 0; b < bytes; b++)
        planes[b * count + i] = (uint8_t)(value >> 8 * b);
}

static uint32_t get(const uint8_t *planes, size_t count, size_t bytes, size_t i)
{
    uint32_t value = 0;
    for (size_t b = 0; b < bytes; b++)
        value |= (uint32_t)planes[b * count + i] << 8 * b;
    return value;
}

static void put_logs(uint8_t *planes, const struct targets_form *form, const float *logs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(planes, count, log_bytes(form), i,
            form->type == TARGETS_F16 ? gm_float_to_half(logs[i]) : gm_bits(logs[i]));
}

/* Logarithms of probabilities: at most a little above 0, by rounding. */
static enum status get_logs(float *logs, const struct targets_form *form, const uint8_t *planes, size_t count,
                            struct trace *trace)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t value = get(planes, count, log_bytes(form), i);
        logs[i] = gm_flush(form->type == TARGETS_F16 ? gm_half_to_float(value) : gm_float(value));
        if (!(logs[i] <= 0x1p-10f) || !gm_is_finite(logs[i]))
            return status_fail(trace, CORRUPT, "%g is no logarithm of a probability", (double)logs[i]);
    }
    return OK;
}

void targets_encode(uint8_t *at, const struct targets_form *form, const struct targets *from)
{
    size_t pairs = (size_t)form->tokens * form->kept;
    for (size_t i = 0; i < pairs; i++) {
        bool is_first = i % form->kept == 0;
        put(at, pairs, id_bytes(form), i,
            (uint32_t)(is_first ? from->ids[i] : from->ids[i] - from->ids[i - 1]));
    }
    at += pairs * id_bytes(form);
    put_logs(at, form, from->logs, pairs);
    put_logs(at + pairs * log_bytes(form), form, from->rest, form->tokens);
}

static enum status get_ids(int32_t *ids, const struct targets_form *form, const uint8_t *planes,
                           struct trace *trace)
{
    size_t pairs = (size_t)form->tokens * form->kept;
    for (size_t i = 0; i < pairs; i++) {
        bool is_first = i % form->kept == 0;
        uint64_t gap = get(planes, pairs, id_bytes(form), i),
                 id = is_first ? gap : gap + (uint32_t)ids[i - 1];
        if ((gap == 0 && !is_first) || id >= form->vocabulary)
            return status_fail(trace, CORRUPT, "ids do not ascend below %" PRIu32, form->vocabulary);
        ids[i] = (int32_t)id;
    }
    return OK;
}

enum status targets_decode(struct targets *out, uint32_t first, const struct targets_form *form,
                           const uint8_t *bytes, struct trace *trace)
{
    size_t pairs = (size_t)form->tokens * form->kept, at = (size_t)first * form->kept;
    if (out->kept != form->kept || first > out->tokens || out->tokens - first < form->tokens)
        BUG("targets of %u x %u do not fit", form->tokens, form->kept);
    TRY(get_ids(out->ids + at, form, bytes, trace));
    bytes += pairs * id_bytes(form);
    TRY(get_logs(out->logs + at, form, bytes, pairs, trace));
    return get_logs(out->rest + first, form, bytes + pairs * log_bytes(form), form->tokens, trace);
}
