/* The scanner: one table of the fields that are kept, one recursive walk over the messages in it. */
#include "frontend/wire.h"
#include <inttypes.h>
#include <string.h>

enum message {
    MESSAGE_MODEL,
    MESSAGE_GRAPH,
    MESSAGE_NODE,
    MESSAGE_ATTRIBUTE,
    MESSAGE_TENSOR,
    MESSAGE_ENTRY,
    MESSAGE_VALUE_INFO,
    MESSAGE_TYPE,
    MESSAGE_TENSOR_TYPE,
    MESSAGE_SHAPE,
    MESSAGE_DIMENSION,
    MESSAGE_OPSET,
    MESSAGE_PROPERTY,
};
static const char *const message_names[] = {"ModelProto",
                                            "GraphProto",
                                            "NodeProto",
                                            "AttributeProto",
                                            "TensorProto",
                                            "StringStringEntryProto",
                                            "ValueInfoProto",
                                            "TypeProto",
                                            "TypeProto.Tensor",
                                            "TensorShapeProto",
                                            "Dimension",
                                            "OperatorSetIdProto",
                                            "StringStringEntryProto"};

enum field_kind {
    FIELD_VARINT,
    FIELD_FIXED32,
    FIELD_TEXT,
    FIELD_BYTES,   /* copied as they are */
    FIELD_VARINTS, /* repeated, packed or not */
    FIELD_FLOATS,  /* repeated, packed or not */
    FIELD_MESSAGE,
    FIELD_PAYLOAD, /* data of a tensor: only its place is kept */
    FIELD_COUNTED, /* dropped, but it is known how many there are */
    FIELD_REFUSED,
};

struct field {
    enum message owner;
    uint32_t number;
    enum field_kind kind;
    enum message child;
    bool repeated;
    const char *refusal;
};

enum { NODE_DOC_STRING = 6, NODE_METADATA_PROPS = 9 };

// clang-format off
static const struct field fields[] = {
    {MESSAGE_MODEL, 1, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_MODEL, 2, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_MODEL, 3, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_MODEL, 4, FIELD_BYTES, 0, false, NULL},
    {MESSAGE_MODEL, 5, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_MODEL, 6, FIELD_BYTES, 0, false, NULL},
    {MESSAGE_MODEL, 7, FIELD_MESSAGE, MESSAGE_GRAPH, false, NULL},
    {MESSAGE_MODEL, 8, FIELD_MESSAGE, MESSAGE_OPSET, true, NULL},
    {MESSAGE_MODEL, 14, FIELD_MESSAGE, MESSAGE_PROPERTY, true, NULL},
    {MESSAGE_GRAPH, 1, FIELD_MESSAGE, MESSAGE_NODE, true, NULL},
    {MESSAGE_GRAPH, 2, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_GRAPH, 5, FIELD_MESSAGE, MESSAGE_TENSOR, true, NULL},
    {MESSAGE_GRAPH, 10, FIELD_BYTES, 0, false, NULL},
    {MESSAGE_GRAPH, 11, FIELD_MESSAGE, MESSAGE_VALUE_INFO, true, NULL},
    {MESSAGE_GRAPH, 12, FIELD_MESSAGE, MESSAGE_VALUE_INFO, true, NULL},
    {MESSAGE_GRAPH, 15, FIELD_REFUSED, 0, true, "sparse initializers are not supported"},
    {MESSAGE_GRAPH, 16, FIELD_MESSAGE, MESSAGE_PROPERTY, true, NULL},
    {MESSAGE_NODE, 1, FIELD_TEXT, 0, true, NULL},
    {MESSAGE_NODE, 2, FIELD_TEXT, 0, true, NULL},
    {MESSAGE_NODE, 3, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_NODE, 4, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_NODE, 5, FIELD_MESSAGE, MESSAGE_ATTRIBUTE, true, NULL},
    {MESSAGE_NODE, NODE_DOC_STRING, FIELD_COUNTED, 0, true, NULL},
    {MESSAGE_NODE, 7, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_NODE, NODE_METADATA_PROPS, FIELD_COUNTED, 0, true, NULL},
    {MESSAGE_ATTRIBUTE, 1, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_ATTRIBUTE, 2, FIELD_FIXED32, 0, false, NULL},
    {MESSAGE_ATTRIBUTE, 3, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_ATTRIBUTE, 4, FIELD_BYTES, 0, false, NULL},
    {MESSAGE_ATTRIBUTE, 5, FIELD_MESSAGE, MESSAGE_TENSOR, false, NULL},
    {MESSAGE_ATTRIBUTE, 7, FIELD_FLOATS, 0, true, NULL},
    {MESSAGE_ATTRIBUTE, 8, FIELD_VARINTS, 0, true, NULL},
    {MESSAGE_ATTRIBUTE, 20, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_TENSOR, 1, FIELD_VARINTS, 0, true, NULL},
    {MESSAGE_TENSOR, 2, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_TENSOR, 3, FIELD_REFUSED, 0, true, "tensors stored in segments are not supported"},
    {MESSAGE_TENSOR, 4, FIELD_PAYLOAD, 0, false, NULL},
    {MESSAGE_TENSOR, 5, FIELD_PAYLOAD, 0, false, NULL},
    {MESSAGE_TENSOR, 6, FIELD_REFUSED, 0, true, "tensors of strings are not supported"},
    {MESSAGE_TENSOR, 7, FIELD_PAYLOAD, 0, false, NULL},
    {MESSAGE_TENSOR, 8, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_TENSOR, 9, FIELD_PAYLOAD, 0, false, NULL},
    {MESSAGE_TENSOR, 10, FIELD_PAYLOAD, 0, false, NULL},
    {MESSAGE_TENSOR, 11, FIELD_PAYLOAD, 0, false, NULL},
    {MESSAGE_TENSOR, 13, FIELD_MESSAGE, MESSAGE_ENTRY, true, NULL},
    {MESSAGE_TENSOR, 14, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_ENTRY, 1, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_ENTRY, 2, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_VALUE_INFO, 1, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_VALUE_INFO, 2, FIELD_MESSAGE, MESSAGE_TYPE, false, NULL},
    {MESSAGE_TYPE, 1, FIELD_MESSAGE, MESSAGE_TENSOR_TYPE, false, NULL},
    {MESSAGE_TENSOR_TYPE, 1, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_TENSOR_TYPE, 2, FIELD_MESSAGE, MESSAGE_SHAPE, false, NULL},
    {MESSAGE_SHAPE, 1, FIELD_MESSAGE, MESSAGE_DIMENSION, true, NULL},
    {MESSAGE_DIMENSION, 1, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_DIMENSION, 2, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_OPSET, 1, FIELD_TEXT, 0, false, NULL},
    {MESSAGE_OPSET, 2, FIELD_VARINT, 0, false, NULL},
    {MESSAGE_PROPERTY, 1, FIELD_BYTES, 0, false, NULL},
    {MESSAGE_PROPERTY, 2, FIELD_BYTES, 0, false, NULL},
};
// clang-format on
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };
_Static_assert(FIELD_COUNT <= 64, "seen fields are a mask of 64 bits");

enum wire_type { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_START_GROUP, WIRE_END_GROUP, WIRE_FIXED32 };

struct scanner {
    const uint8_t *start;
    struct builder *out;
    struct wire_dropped *dropped;
    uint64_t messages, text;
    struct trace *trace;
};

struct span {
    const uint8_t *at, *end;
};

bool wire_read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 70 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *out = value;
            return true;
        }
    }
    return false;
}

static void put_varint(struct builder *out, uint64_t value)
{
    char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (char)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value);
    builder_add(out, bytes, count);
}

static enum status refuse(const struct scanner *s, enum status code, const uint8_t *at, enum message message,
                          const char *what)
{
    return status_fail(s->trace, code, "not a readable ONNX file: %s, in a %s at byte %zu", what,
                       message_names[message], (size_t)(at - s->start));
}

static const struct field *find_field(enum message message, uint64_t number)
{
    for (uint32_t i = 0; i < FIELD_COUNT; i++)
        if (fields[i].owner == message && fields[i].number == number)
            return &fields[i];
    return NULL;
}

static enum status read_tag(const struct scanner *s, struct span *span, enum message message,
                            uint64_t *number, uint32_t *type)
{
    const uint8_t *at = span->at;
    uint64_t tag;
    if (!wire_read_varint(&span->at, span->end, &tag))
        return refuse(s, INVALID, at, message, "a field's tag is cut off or too long");
    *number = tag >> 3;
    *type = tag & 7;
    if (*number == 0 || *number >= 1 << 29)
        return refuse(s, INVALID, at, message, "a field's number is out of range");
    return OK;
}

/* The value of a field: `value` for varints, `inner` for everything else. */
static enum status read_value(const struct scanner *s, struct span *span, enum message message, uint32_t type,
                              uint64_t *value, struct span *inner)
{
    const uint8_t *at = span->at;
    uint64_t length = type == WIRE_FIXED64 ? 8 : 4;
    switch (type) {
    case WIRE_VARINT:
        if (!wire_read_varint(&span->at, span->end, value))
            return refuse(s, INVALID, at, message, "a number is cut off or too long");
        return OK;
    case WIRE_BYTES:
        if (!wire_read_varint(&span->at, span->end, &length))
            return refuse(s, INVALID, at, message, "a length is cut off or too long");
        break;
    case WIRE_FIXED64:
    case WIRE_FIXED32:
        break;
    default:
        return refuse(s, INVALID, at, message, "a field is a group or of unknown wire type");
    }
    if (length > (uint64_t)(span->end - span->at))
        return refuse(s, INVALID, at, message,
                      "a field is longer than what contains it (is the file cut off?)");
    *inner = (struct span){span->at, span->at + length};
    span->at += length;
    return OK;
}

static bool type_fits(enum field_kind kind, uint32_t type)
{
    switch (kind) {
    case FIELD_VARINT:
        return type == WIRE_VARINT;
    case FIELD_FIXED32:
        return type == WIRE_FIXED32;
    case FIELD_VARINTS:
        return type == WIRE_VARINT || type == WIRE_BYTES;
    case FIELD_FLOATS:
        return type == WIRE_FIXED32 || type == WIRE_BYTES;
    default:
        return type == WIRE_BYTES;
    }
}

/* Numbers of a packed list: each must be well-formed, because the unpacker trusts the count it makes of them.
 */
static enum status check_packed(const struct scanner *s, struct span inner, const struct field *field)
{
    const uint8_t *at = inner.at;
    uint64_t value;
    if (field->kind == FIELD_FLOATS && (inner.end - inner.at) % 4 != 0)
        return refuse(s, INVALID, at, field->owner, "a list of floats is not a multiple of four bytes");
    while (field->kind == FIELD_VARINTS && inner.at < inner.end)
        if (!wire_read_varint(&inner.at, inner.end, &value))
            return refuse(s, INVALID, at, field->owner, "a number in a list is cut off or too long");
    return OK;
}

static enum status check_text(struct scanner *s, struct span inner, const struct field *field)
{
    size_t length = (size_t)(inner.end - inner.at);
    s->text += length + 1;
    if (s->text > WIRE_MAX_TEXT)
        return refuse(s, INVALID, inner.at, field->owner, "more than 64 MiB of names and attributes");
    if (field->kind == FIELD_TEXT && memchr(inner.at, 0, length))
        return refuse(s, INVALID, inner.at, field->owner, "a name has a NUL in it");
    return OK;
}

static void put_payload(struct scanner *s, struct span inner, uint32_t number)
{
    uint64_t values[] = {number, (uint64_t)(inner.at - s->start), (uint64_t)(inner.end - inner.at)};
    for (uint32_t i = 0; i < 3; i++) {
        put_varint(s->out, (1000 + i) << 3 | WIRE_VARINT);
        put_varint(s->out, values[i]);
    }
}

static enum status scan_message(struct scanner *s, struct span span, enum message message, uint32_t depth);

/* The length is not known before the message has been copied: five bytes are kept for it. */
static enum status copy_message(struct scanner *s, struct span inner, const struct field *field,
                                uint32_t depth)
{
    put_varint(s->out, (uint64_t)field->number << 3 | WIRE_BYTES);
    size_t place = s->out->length;
    builder_add(s->out, "\0\0\0\0", 5);
    TRY(scan_message(s, inner, field->child, depth + 1));
    uint64_t length = s->out->length - place - 5;
    for (uint32_t i = 0; i < 5; i++)
        s->out->data[place + i] = (char)((length >> (7 * i) & 127) | (i < 4 ? 128 : 0));
    return OK;
}

static enum status copy_field(struct scanner *s, const struct field *field, uint32_t type, uint64_t value,
                              struct span inner, uint32_t depth)
{
    if (field->kind == FIELD_REFUSED)
        return refuse(s, UNSUPPORTED, inner.at, field->owner, field->refusal);
    if (field->kind == FIELD_COUNTED) {
        ++*(field->number == NODE_DOC_STRING ? &s->dropped->documented_nodes : &s->dropped->node_properties);
        return OK;
    }
    if (field->kind == FIELD_MESSAGE)
        return copy_message(s, inner, field, depth);
    if (field->kind == FIELD_PAYLOAD) {
        put_payload(s, inner, field->number);
        return OK;
    }
    put_varint(s->out, (uint64_t)field->number << 3 | type);
    if (type == WIRE_VARINT) {
        put_varint(s->out, value);
        return OK;
    }
    if (type == WIRE_BYTES) {
        TRY(check_packed(s, inner, field));
        TRY(check_text(s, inner, field));
        put_varint(s->out, (uint64_t)(inner.end - inner.at));
    }
    builder_add(s->out, (const char *)inner.at, (size_t)(inner.end - inner.at));
    return OK;
}

/* Which fields came already: a bit each; all kinds of data of one tensor share a bit. */
static uint64_t field_bit(const struct field *field)
{
    return field->kind == FIELD_PAYLOAD ? (uint64_t)1 << (find_field(MESSAGE_TENSOR, 4) - fields)
                                        : (uint64_t)1 << (field - fields);
}

static enum status scan_message(struct scanner *s, struct span span, enum message message, uint32_t depth)
{
    uint64_t seen = 0;
    if (depth > WIRE_MAX_DEPTH)
        return refuse(s, INVALID, span.at, message, "messages are nested too deep");
    if (++s->messages > WIRE_MAX_MESSAGES)
        return refuse(s, INVALID, span.at, message, "more than 4 million messages");
    while (span.at < span.end) {
        const uint8_t *at = span.at;
        uint64_t number = 0, value = 0;
        uint32_t type = 0;
        struct span inner = {at, at};
        TRY(read_tag(s, &span, message, &number, &type));
        TRY(read_value(s, &span, message, type, &value, &inner));
        const struct field *field = find_field(message, number);
        if (!field)
            continue;
        if (!type_fits(field->kind, type))
            return refuse(s, field->kind == FIELD_PAYLOAD ? UNSUPPORTED : INVALID, at, message,
                          field->kind == FIELD_PAYLOAD ? "the data of a tensor is not packed"
                                                       : "a field has the wrong wire type");
        if (!field->repeated && (seen & field_bit(field)))
            return refuse(s, INVALID, at, message, "a field that may come once comes twice");
        seen |= field_bit(field);
        TRY(copy_field(s, field, type, value, inner, depth));
        if (s->out->length > WIRE_MAX_SKELETON)
            return refuse(s, INVALID, at, message, "more than 256 MiB of structure");
    }
    return OK;
}

enum status wire_scan(struct builder *out, struct wire_dropped *dropped, const uint8_t *bytes, size_t size,
                      struct trace *trace)
{
    struct scanner s = {.start = bytes, .out = out, .dropped = dropped, .trace = trace};
    *dropped = (struct wire_dropped){0};
    return scan_message(&s, (struct span){bytes, bytes + size}, MESSAGE_MODEL, 0);
}
