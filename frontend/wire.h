/* Scans a protobuf file without trusting it, and copies what espalier reads into a small skeleton.
 *
 * Generated unpackers copy every payload, recurse without limit and merge repeated messages. The scanner
 * walks the mapped bytes first: it knows the fields of frontend/onnx.proto, checks their wire types, drops
 * every other field, and replaces the data of tensors by its offset and length in the file. What is left is a
 * few kilobytes to a few megabytes that can be unpacked safely. Bytes of dropped fields are stepped over,
 * never interpreted. */
#ifndef FRONTEND_WIRE_H
#define FRONTEND_WIRE_H

#include "base/status.h"
#include "base/str.h"
#include <stdint.h>

enum {
    WIRE_MAX_DEPTH = 64,
    WIRE_MAX_MESSAGES = 4 << 20,
    WIRE_MAX_TEXT = 64 << 20,     /* bytes of names and of attribute values */
    WIRE_MAX_SKELETON = 256 << 20 /* bytes */
};

/* What was stepped over, as far as somebody may miss it. */
struct wire_dropped {
    uint64_t documented_nodes, node_properties;
};

/* Appends the skeleton of `bytes` (a whole ModelProto) to `out`, which the caller releases. INVALID names the
 * message path and the offset. */
enum status wire_scan(struct builder *out, struct wire_dropped *dropped, const uint8_t *bytes, size_t size,
                      struct trace *trace) MUST_CHECK;

/* One varint at *at, advancing it. False at the end of the bytes or when it has more than ten bytes or 64
 * bits. */
bool wire_read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out);

#endif
