/* See emit/wire_writer.h and the encoding chapter of the Protocol Buffers documentation. */
#include "emit/wire_writer.h"
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_DOUBLE = 1, WIRE_LENGTH = 2, WIRE_FIXED = 5 };

static void add_varint(struct builder *out, uint64_t value)
{
    char bytes[10];
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[length++] = (char)(value | 0x80);
    bytes[length++] = (char)value;
    builder_add(out, bytes, length);
}

static void add_tag(struct builder *out, uint32_t field, enum wire_type type)
{
    add_varint(out, (uint64_t)field << 3 | type);
}

void wire_integer(struct builder *out, uint32_t field, int64_t value)
{
    add_tag(out, field, WIRE_VARINT);
    add_varint(out, (uint64_t)value);
}

void wire_open(struct builder *out, uint32_t field, uint64_t length)
{
    add_tag(out, field, WIRE_LENGTH);
    add_varint(out, length);
}

static void add_fixed(struct builder *out, uint64_t bits, int width)
{
    for (int shift = 0; shift < width; shift += 8)
        builder_add(out, &(const char){(char)(bits >> shift)}, 1);
}

void wire_float(struct builder *out, uint32_t field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_tag(out, field, WIRE_FIXED);
    add_fixed(out, bits, 32);
}

void wire_double(struct builder *out, uint32_t field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_tag(out, field, WIRE_DOUBLE);
    add_fixed(out, bits, 64);
}

void wire_text(struct builder *out, uint32_t field, const char *text)
{
    wire_open(out, field, strlen(text));
    builder_add_text(out, text);
}

void wire_message(struct builder *out, uint32_t field, const struct builder *message)
{
    wire_open(out, field, message->length);
    builder_add(out, builder_text(message), message->length);
}
