/* Encoding ONNX messages. Field numbers are those of onnx.proto. */
#include "tests/support/onnx_writer.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { EXTERNAL_FROM = 64, SPARSE_FROM = 1 << 16 }; /* bytes */ /* bytes: smaller tensors stay inside */

void proto_varint(struct builder *b, uint64_t value)
{
    do {
        char byte = (char)((value & 127) | (value > 127 ? 128 : 0));
        builder_add(b, &byte, 1);
        value >>= 7;
    } while (value);
}

void proto_integer(struct builder *b, uint32_t field, int64_t value)
{
    proto_varint(b, (uint64_t)field << 3);
    proto_varint(b, (uint64_t)value);
}

void proto_bytes(struct builder *b, uint32_t field, const void *bytes, size_t length)
{
    proto_varint(b, (uint64_t)field << 3 | 2);
    proto_varint(b, length);
    builder_add(b, bytes, length);
}

void proto_text(struct builder *b, uint32_t field, const char *text)
{
    proto_bytes(b, field, text, strlen(text));
}

static void add_message(struct builder *b, uint32_t field, struct builder *message)
{
    proto_bytes(b, field, builder_text(message), message->length);
    builder_release(message);
    *message = (struct builder){0};
}

const char *onnx_new_name(struct onnx_writer *w)
{
    return arena_printf(&w->arena, "v%u", w->values++);
}

void onnx_input(struct onnx_writer *w, const char *name, int32_t type, const char *axes)
{
    struct builder shape = {0}, tensor = {0}, kind = {0}, info = {0};
    char *copy = strdup(axes), *rest = copy, *axis;
    while ((axis = strsep(&rest, " "))) {
        struct builder dim = {0};
        if (*axis >= '0' && *axis <= '9')
            proto_integer(&dim, 1, atoll(axis));
        else
            proto_text(&dim, 2, axis);
        add_message(&shape, 1, &dim);
    }
    free(copy);
    proto_integer(&tensor, 1, type);
    add_message(&tensor, 2, &shape);
    add_message(&kind, 1, &tensor);
    proto_text(&info, 1, name);
    add_message(&info, 2, &kind);
    add_message(&w->rest, 11, &info);
}

void onnx_output(struct onnx_writer *w, const char *name)
{
    struct builder info = {0};
    proto_text(&info, 1, name);
    add_message(&w->rest, 12, &info);
}

static void add_attribute(struct onnx_writer *w, struct builder *attribute, const char *name, int type)
{
    proto_text(attribute, 1, name);
    proto_integer(attribute, 20, type);
    add_message(&w->attributes, 5, attribute);
}

void onnx_attribute_int(struct onnx_writer *w, const char *name, int64_t value)
{
    struct builder attribute = {0};
    proto_integer(&attribute, 3, value);
    add_attribute(w, &attribute, name, 2);
}

void onnx_attribute_float(struct onnx_writer *w, const char *name, float value)
{
    struct builder attribute = {0};
    proto_varint(&attribute, 2 << 3 | 5);
    builder_add(&attribute, (const char *)&value, sizeof value);
    add_attribute(w, &attribute, name, 1);
}

void onnx_attribute_text(struct onnx_writer *w, const char *name, const char *value)
{
    struct builder attribute = {0};
    proto_text(&attribute, 4, value);
    add_attribute(w, &attribute, name, 3);
}

void onnx_attribute_ints(struct onnx_writer *w, const char *name, uint32_t count, const int64_t *values)
{
    struct builder attribute = {0};
    for (uint32_t i = 0; i < count; i++)
        proto_integer(&attribute, 8, values[i]);
    add_attribute(w, &attribute, name, 7);
}

static void encode_tensor(struct onnx_writer *w, struct builder *out, const char *name, int32_t type,
                          uint32_t rank, const int64_t *dims, const void *bytes, size_t length)
{
    for (uint32_t i = 0; i < rank; i++)
        proto_integer(out, 1, dims[i]);
    proto_integer(out, 2, type);
    proto_text(out, 8, name);
    if (!w->external || length < (w->is_sparse ? SPARSE_FROM : EXTERNAL_FROM)) {
        proto_bytes(out, 9, bytes, length);
        return;
    }
    const char *entries[][2] = {
        {"location", w->external},
        {"offset", arena_printf(&w->arena, "%zu", w->is_sparse ? w->sparse_length : w->data.length)},
        {"length", arena_printf(&w->arena, "%zu", length)}};
    for (uint32_t i = 0; i < 3; i++) {
        struct builder entry = {0};
        proto_text(&entry, 1, entries[i][0]);
        proto_text(&entry, 2, entries[i][1]);
        add_message(out, 13, &entry);
    }
    proto_integer(out, 14, 1);
    w->sparse_length += length;
    if (!w->is_sparse)
        builder_add(&w->data, bytes, length);
}

void onnx_attribute_tensor(struct onnx_writer *w, const char *name, int32_t type, uint32_t rank,
                           const int64_t *dims, const void *bytes, size_t length)
{
    struct builder tensor = {0}, attribute = {0};
    encode_tensor(w, &tensor, "", type, rank, dims, bytes, length);
    add_message(&attribute, 5, &tensor);
    add_attribute(w, &attribute, name, 4);
}

void onnx_tensor(struct onnx_writer *w, const char *name, int32_t type, uint32_t rank, const int64_t *dims,
                 const void *bytes, size_t length)
{
    struct builder tensor = {0};
    encode_tensor(w, &tensor, name, type, rank, dims, bytes, length);
    add_message(&w->rest, 5, &tensor);
}

void onnx_op_named(struct onnx_writer *w, const char *op, uint32_t output_count, const char *const *outputs,
                   uint32_t input_count, const char *const *inputs)
{
    struct builder node = {0}, tagged = {0};
    for (uint32_t i = 0; i < input_count; i++)
        proto_text(&node, 1, inputs[i]);
    for (uint32_t i = 0; i < output_count; i++)
        proto_text(&node, 2, outputs[i]);
    if (w->node_prefix)
        proto_text(&node, 3, arena_printf(&w->arena, "%s%s_%u", w->node_prefix, op, w->nodes.count));
    proto_text(&node, 4, op);
    if (w->domain)
        proto_text(&node, 7, w->domain);
    w->domain = NULL;
    builder_add(&node, builder_text(&w->attributes), w->attributes.length);
    builder_release(&w->attributes);
    w->attributes = (struct builder){0};
    add_message(&tagged, 1, &node);
    *VEC_PUSH(&w->arena, &w->nodes) =
        (struct str){arena_copy_string(&w->arena, tagged.data, tagged.length), tagged.length};
    builder_release(&tagged);
}

const char *onnx_op(struct onnx_writer *w, const char *op, ...)
{
    const char *inputs[16], *output = onnx_new_name(w);
    uint32_t count = 0;
    va_list arguments;
    va_start(arguments, op);
    for (const char *input; (input = va_arg(arguments, const char *));)
        inputs[count++] = input;
    va_end(arguments);
    onnx_op_named(w, op, 1, &output, count, inputs);
    return output;
}

static const char *constant(struct onnx_writer *w, int32_t type, uint32_t rank, const int64_t *dims,
                            const void *bytes, size_t length)
{
    if (w->constant_nodes) {
        onnx_attribute_tensor(w, "value", type, rank, dims, bytes, length);
        return onnx_op(w, "Constant", NULL);
    }
    const char *name = onnx_new_name(w);
    onnx_tensor(w, name, type, rank, dims, bytes, length);
    return name;
}

const char *onnx_const_ints(struct onnx_writer *w, uint32_t count, const int64_t *values)
{
    int64_t dims[1] = {count};
    return constant(w, ONNX_TEST_INT64, 1, dims, values, count * sizeof *values);
}

const char *onnx_const_int(struct onnx_writer *w, int64_t value)
{
    return onnx_const_ints(w, 1, &value);
}

const char *onnx_const_index(struct onnx_writer *w, int64_t value)
{
    return constant(w, ONNX_TEST_INT64, 0, NULL, &value, sizeof value);
}

const char *onnx_const_float(struct onnx_writer *w, float value)
{
    return constant(w, ONNX_TEST_FLOAT, 0, NULL, &value, sizeof value);
}

void onnx_finish(struct onnx_writer *w, struct builder *out)
{
    struct builder graph = {0}, opset = {0};
    for (uint32_t i = 0; i < w->nodes.count; i++) {
        struct str node = w->nodes.items[w->reversed ? w->nodes.count - 1 - i : i];
        builder_add(&graph, node.data, node.length);
    }
    proto_text(&graph, 2, "g");
    builder_add(&graph, builder_text(&w->rest), w->rest.length);
    proto_integer(out, 1, 8);
    proto_text(out, 2, "test");
    add_message(out, 7, &graph);
    proto_integer(&opset, 2, w->opset);
    add_message(out, 8, &opset);
}

void onnx_writer_release(struct onnx_writer *w)
{
    builder_release(&w->rest);
    builder_release(&w->attributes);
    builder_release(&w->data);
    arena_release(&w->arena);
}
