/* Protocol buffers on the wire, as far as ONNX and event files need them. A message is made in a builder and
 * then put into the one around it, length first. Only weights are too large for that: their length is known
 * beforehand, so wire_open() writes tag and length and the caller streams the bytes. */
#ifndef EMIT_WIRE_WRITER_H
#define EMIT_WIRE_WRITER_H

#include "base/str.h"
#include <stdint.h>

void wire_integer(struct builder *out, uint32_t field, int64_t value);
void wire_float(struct builder *out, uint32_t field, float value);
void wire_double(struct builder *out, uint32_t field, double value);
void wire_text(struct builder *out, uint32_t field, const char *text);
void wire_message(struct builder *out, uint32_t field, const struct builder *message);
/* Tag and length of `length` bytes that the caller adds. */
void wire_open(struct builder *out, uint32_t field, uint64_t length);

#endif
