/* See emit/gguf_file.h. Builders hold host order, which is little endian on every machine that espalier runs
 * on (base/bits of the store are, too). */
#include "emit/gguf_file.h"
#include <assert.h>
#include <string.h>

enum gguf_value { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_TEXT = 8, GGUF_ARRAY = 9 };

void gguf_release(struct gguf *gguf)
{
    builder_release(&gguf->keys);
    arena_release(&gguf->arena);
    *gguf = (struct gguf){0};
}

static void put(struct builder *out, const void *bytes, size_t length)
{
    builder_add(out, bytes, length);
}

static void put_u32(struct builder *out, uint32_t value)
{
    put(out, &value, sizeof value);
}

static void put_u64(struct builder *out, uint64_t value)
{
    put(out, &value, sizeof value);
}

static void put_text(struct builder *out, struct str text)
{
    put_u64(out, text.length);
    put(out, text.data, text.length);
}

static void begin_key(struct gguf *gguf, const char *key, enum gguf_value type)
{
    put_text(&gguf->keys, str_from(key));
    put_u32(&gguf->keys, type);
    gguf->key_count++;
}

static void begin_array(struct gguf *gguf, const char *key, enum gguf_value type, uint64_t count)
{
    begin_key(gguf, key, GGUF_ARRAY);
    put_u32(&gguf->keys, type);
    put_u64(&gguf->keys, count);
}

void gguf_add_u32(struct gguf *gguf, const char *key, uint32_t value)
{
    begin_key(gguf, key, GGUF_U32);
    put_u32(&gguf->keys, value);
}

void gguf_add_f32(struct gguf *gguf, const char *key, float value)
{
    begin_key(gguf, key, GGUF_F32);
    put(&gguf->keys, &value, sizeof value);
}

void gguf_add_bool(struct gguf *gguf, const char *key, bool value)
{
    uint8_t byte = value;
    begin_key(gguf, key, GGUF_BOOL);
    put(&gguf->keys, &byte, sizeof byte);
}

void gguf_add_text(struct gguf *gguf, const char *key, struct str value)
{
    begin_key(gguf, key, GGUF_TEXT);
    put_text(&gguf->keys, value);
}

void gguf_add_texts(struct gguf *gguf, const char *key, const struct str *values, uint64_t count)
{
    begin_array(gguf, key, GGUF_TEXT, count);
    for (uint64_t i = 0; i < count; i++)
        put_text(&gguf->keys, values[i]);
}

void gguf_add_f32s(struct gguf *gguf, const char *key, const float *values, uint64_t count)
{
    begin_array(gguf, key, GGUF_F32, count);
    put(&gguf->keys, values, count * sizeof *values);
}

void gguf_add_i32s(struct gguf *gguf, const char *key, const int32_t *values, uint64_t count)
{
    begin_array(gguf, key, GGUF_I32, count);
    put(&gguf->keys, values, count * sizeof *values);
}

void gguf_add_tensor(struct gguf *gguf, const struct gguf_tensor *tensor)
{
    assert(strlen(tensor->entry.name) <= GGUF_MAX_NAME);
    *VEC_PUSH(&gguf->arena, &gguf->tensors) = *tensor;
}

static uint64_t aligned(uint64_t offset)
{
    return (offset + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT;
}

static uint64_t content_bytes(const struct gguf_tensor *tensor)
{
    uint64_t count = safetensors_bytes(&tensor->entry) / sizeof(float);
    assert(count % tensor->encoding->block == 0);
    return count / tensor->encoding->block * tensor->encoding->bytes;
}

static void put_info(struct builder *out, const struct gguf_tensor *tensor, uint64_t offset)
{
    put_text(out, str_from(tensor->entry.name));
    put_u32(out, tensor->entry.rank);
    for (uint32_t a = tensor->entry.rank; a-- > 0;)
        put_u64(out, (uint64_t)tensor->entry.dims[a]);
    put_u32(out, tensor->encoding->gguf_type);
    put_u64(out, offset);
}

static enum status write_header(struct output_file *file, const struct gguf *gguf, struct trace *trace)
{
    struct builder header = {0};
    put(&header, "GGUF", 4);
    put_u32(&header, GGUF_VERSION);
    put_u64(&header, gguf->tensors.count);
    put_u64(&header, gguf->key_count);
    put(&header, gguf->keys.data, gguf->keys.length);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < gguf->tensors.count; i++) {
        put_info(&header, &gguf->tensors.items[i], offset);
        offset = aligned(offset + content_bytes(&gguf->tensors.items[i]));
    }
    enum status status = output_add(file, header.data, header.length, trace);
    builder_release(&header);
    return status;
}

static enum status write_content(struct output_file *file, const struct gguf_tensor *tensor,
                                 struct trace *trace)
{
    const struct encoding *encoding = tensor->encoding;
    for (uint32_t i = 0; i < tensor->entry.piece_count; i++) {
        const struct safetensors_piece *piece = &tensor->entry.pieces[i];
        uint64_t zeros = (uint64_t)piece->zeros / encoding->block * encoding->bytes;
        if (piece->view.rank == 0)
            TRY(output_pad(file, zeros, trace));
        else
            TRY_WITH(trace, output_add_weight(file, &piece->view, piece->factor, encoding, trace),
                     "while writing the weight %s", tensor->entry.name);
    }
    return output_pad(file, aligned(output_length(file)) - output_length(file), trace);
}

enum status gguf_write(struct output_file *file, const struct gguf *gguf, struct trace *trace)
{
    TRY(write_header(file, gguf, trace));
    TRY(output_pad(file, aligned(output_length(file)) - output_length(file), trace));
    for (uint32_t i = 0; i < gguf->tensors.count; i++)
        TRY(write_content(file, &gguf->tensors.items[i], trace));
    return OK;
}
