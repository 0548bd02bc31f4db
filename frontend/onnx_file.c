/* Opening: map, scan into a skeleton, unpack that with a capped allocator, check versions. */
#include "frontend/onnx_file.h"
#include "frontend/data_file.h"
#include "frontend/wire.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { UNPACK_LIMIT = 1 << 30 }; /* bytes of messages */

const char *onnx_type_name(int32_t type)
{
    static const char *const names[] = {
        "UNDEFINED",      "FLOAT",    "UINT8",        "INT8",           "UINT16",
        "INT16",          "INT32",    "INT64",        "STRING",         "BOOL",
        "FLOAT16",        "DOUBLE",   "UINT32",       "UINT64",         "COMPLEX64",
        "COMPLEX128",     "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2",
        "FLOAT8E5M2FNUZ", "UINT4",    "INT4",         "FLOAT4E2M1",     "FLOAT8E8M0",
        "UINT2",          "INT2"};
    return type >= 0 && (size_t)type < sizeof names / sizeof names[0] ? names[type] : "an unknown type";
}

size_t onnx_type_size(int32_t type)
{
    switch (type) {
    case ONNX_UINT8:
    case ONNX_INT8:
    case ONNX_BOOL:
        return 1;
    case ONNX_UINT16:
    case ONNX_INT16:
    case ONNX_FLOAT16:
    case ONNX_BFLOAT16:
        return 2;
    case ONNX_FLOAT:
    case ONNX_INT32:
    case ONNX_UINT32:
        return 4;
    case ONNX_INT64:
    case ONNX_UINT64:
    case ONNX_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

bool onnx_type_is_float(int32_t type)
{
    return type == ONNX_FLOAT || type == ONNX_FLOAT16 || type == ONNX_BFLOAT16 || type == ONNX_DOUBLE;
}

/* protobuf-c reports a failed allocation as a failed unpack, which is what a cap needs. Nothing is freed one
 * by one. */
static void *capped_alloc(void *data, size_t size)
{
    struct arena *arena = data;
    if (size > UNPACK_LIMIT || arena->used + size > UNPACK_LIMIT)
        return NULL;
    return arena_alloc(arena, size ? size : 1);
}

static void capped_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

static enum status unpack(struct onnx_file *file, const struct mapping *mapping, struct trace *trace)
{
    struct builder skeleton = {0};
    enum status status = wire_scan(&skeleton, &file->dropped, mapping->data, mapping->size, trace);
    if (status == OK) {
        ProtobufCAllocator allocator = {capped_alloc, capped_free, &file->arena};
        file->proto =
            onnx__model_proto__unpack(&allocator, skeleton.length, (const uint8_t *)builder_text(&skeleton));
        if (!file->proto)
            status = status_fail(
                trace, INVALID,
                "not a readable ONNX file: its messages cannot be unpacked (damaged, or more than "
                "1 GiB of structure)");
    }
    builder_release(&skeleton);
    return status;
}

static enum status check_versions(struct onnx_file *file, struct trace *trace)
{
    const Onnx__ModelProto *proto = file->proto;
    if (!proto->graph || proto->n_opset_import == 0)
        return status_fail(trace, INVALID, "not an ONNX model: it has no %s",
                           proto->graph ? "operator set" : "graph");
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *opset = proto->opset_import[i];
        if (!opset->domain || !*opset->domain || strcmp(opset->domain, "ai.onnx") == 0)
            file->opset = opset->version;
    }
    if (file->opset < ONNX_MIN_OPSET || file->opset > ONNX_MAX_OPSET)
        return status_fail(trace, UNSUPPORTED,
                           "operator set %" PRId64 " of the default domain: %d to %d are supported",
                           file->opset, ONNX_MIN_OPSET, ONNX_MAX_OPSET);
    return OK;
}

enum status onnx_file_open(struct onnx_file *out, struct imported_model *model, const char *path,
                           const struct import_options *options, struct trace *trace)
{
    *out = (struct onnx_file){.path = path, .options = options, .model = model};
    const struct mapping *mapping;
    TRY(data_file_map_main(&mapping, model, path, trace));
    if (mapping->size == 0)
        return status_fail(trace, INVALID, "not an ONNX model: the file is empty");
    TRY(unpack(out, mapping, trace));
    return check_versions(out, trace);
}

void onnx_file_release(struct onnx_file *file)
{
    arena_release(&file->arena);
}
