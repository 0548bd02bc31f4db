/* Compressed bytes (zstd), for objects that are large and seldom read. The same bytes may be packed
 * differently by another version of the library: what is hashed for a lock is the bytes themselves, never
 * their packing. */
#ifndef STORE_PACKING_H
#define STORE_PACKING_H

#include "base/status.h"
#include "base/str.h"
#include <stddef.h>

/* Adds one packing to `out`. */
void pack_bytes(struct builder *out, const void *bytes, size_t length);
/* CORRUPT unless the packing, its checksum included, is sound and of just `length` bytes. */
enum status unpack_bytes(void *out, size_t length, const void *packed, size_t packed_length,
                         struct trace *trace) MUST_CHECK;

#endif
