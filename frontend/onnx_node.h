/* Attributes of an ONNX node, with the defaults that the caller knows from the operator's specification. */
#ifndef FRONTEND_ONNX_NODE_H
#define FRONTEND_ONNX_NODE_H

#include "frontend/onnx.pb-c.h"
#include <stdbool.h>
#include <stdint.h>

const Onnx__AttributeProto *onnx_find_attribute(const Onnx__NodeProto *node, const char *name); /* or NULL */
int64_t onnx_integer(const Onnx__NodeProto *node, const char *name, int64_t absent);
float onnx_real(const Onnx__NodeProto *node, const char *name, float absent);
bool onnx_is_text(const Onnx__NodeProto *node, const char *name,
                  const char *text); /* a string attribute equals text */
/* The node's name, or that of its first output. */
const char *onnx_node_name(const Onnx__NodeProto *node);
/* Index of an axis that may count from the end; false when out of range. */
bool onnx_resolve_axis(int64_t axis, uint32_t rank, uint32_t *out);

#endif
