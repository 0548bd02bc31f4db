/* Looking up attributes. */
#include "frontend/onnx_node.h"
#include <string.h>

const Onnx__AttributeProto *onnx_find_attribute(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->name && strcmp(node->attribute[i]->name, name) == 0)
            return node->attribute[i];
    return NULL;
}

int64_t onnx_integer(const Onnx__NodeProto *node, const char *name, int64_t absent)
{
    const Onnx__AttributeProto *attribute = onnx_find_attribute(node, name);
    return attribute ? attribute->i : absent;
}

float onnx_real(const Onnx__NodeProto *node, const char *name, float absent)
{
    const Onnx__AttributeProto *attribute = onnx_find_attribute(node, name);
    return attribute ? attribute->f : absent;
}

bool onnx_is_text(const Onnx__NodeProto *node, const char *name, const char *text)
{
    const Onnx__AttributeProto *attribute = onnx_find_attribute(node, name);
    return attribute && attribute->s.len == strlen(text) &&
           memcmp(attribute->s.data, text, attribute->s.len) == 0;
}

const char *onnx_node_name(const Onnx__NodeProto *node)
{
    if (node->name && *node->name)
        return node->name;
    return node->n_output > 0 ? node->output[0] : "";
}

bool onnx_resolve_axis(int64_t axis, uint32_t rank, uint32_t *out)
{
    if (axis < 0)
        axis += rank;
    if (axis < 0 || axis >= rank)
        return false;
    *out = (uint32_t)axis;
    return true;
}
