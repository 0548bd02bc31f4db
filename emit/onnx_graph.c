/* See emit/onnx_graph.h. */
#include "emit/onnx_graph.h"
#include "emit/wire_writer.h"
#include <inttypes.h>
#include <string.h>

void onnx_graph_release(struct onnx_graph *graph)
{
    builder_release(&graph->nodes);
    arena_release(&graph->arena);
    *graph = (struct onnx_graph){0};
}

const char *onnx_graph_name(struct onnx_graph *graph, struct str wanted)
{
    char *name = arena_copy_string(&graph->arena, wanted.data, wanted.length);
    for (char *c = name; c < name + wanted.length; c++)
        if (*c <= ' ' || *c > '~')
            *c = '_';
    if (*name && map_add_text(&graph->names, &graph->arena, str_from(name), 0))
        return name;
    for (uint32_t i = 2;; i++) {
        const char *numbered = arena_printf(&graph->arena, "%s.%" PRIu32, *name ? name : "unnamed", i);
        if (map_add_text(&graph->names, &graph->arena, str_from(numbered), 0))
            return numbered;
    }
}

static void add_attribute(struct builder *node, const struct onnx_attribute *attribute)
{
    struct builder message = {0};
    wire_text(&message, ATTRIBUTE_NAME, attribute->name);
    if (attribute->is_real)
        wire_float(&message, ATTRIBUTE_FLOAT, attribute->real);
    else if (attribute->count == 0)
        wire_integer(&message, ATTRIBUTE_INT, attribute->values[0]);
    for (uint32_t i = 0; i < attribute->count; i++)
        wire_integer(&message, ATTRIBUTE_INTS, attribute->values[i]);
    wire_integer(&message, ATTRIBUTE_TYPE,
                 attribute->is_real      ? ONNX_ATTRIBUTE_FLOAT
                 : attribute->count == 0 ? ONNX_ATTRIBUTE_INT
                                         : ONNX_ATTRIBUTE_INTS);
    wire_message(node, NODE_ATTRIBUTE, &message);
    builder_release(&message);
}

/* Operators that came after ONNX_OPSET. */
static int64_t opset_of(const char *op)
{
    static const char *const later[] = {"RMSNormalization", "RotaryEmbedding", "Attention"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strcmp(op, later[i]) == 0)
            return ONNX_FUSED_OPSET;
    return ONNX_OPSET;
}

void onnx_graph_add(struct onnx_graph *graph, const struct onnx_node *node)
{
    struct builder message = {0};
    int64_t opset = opset_of(node->op);
    graph->opset = opset > graph->opset ? opset : graph->opset;
    for (uint32_t i = 0; i < ONNX_MAX_INPUTS && node->inputs[i]; i++)
        wire_text(&message, NODE_INPUT, node->inputs[i]);
    for (uint32_t i = 0; i < ONNX_MAX_OUTPUTS && node->outputs[i]; i++)
        wire_text(&message, NODE_OUTPUT, node->outputs[i]);
    wire_text(&message, NODE_NAME, node->outputs[0]);
    wire_text(&message, NODE_OP_TYPE, node->op);
    for (uint32_t i = 0; i < ONNX_MAX_ATTRIBUTES && node->attributes[i].name; i++)
        add_attribute(&message, &node->attributes[i]);
    wire_message(&graph->nodes, GRAPH_NODE, &message);
    builder_release(&message);
}

const char *onnx_graph_weight(struct onnx_graph *graph, struct str wanted, const struct tensor_view *view)
{
    struct onnx_initializer *it = VEC_PUSH(&graph->arena, &graph->initializers);
    *it = (struct onnx_initializer){.name = onnx_graph_name(graph, wanted),
                                    .kind = ONNX_FLOAT,
                                    .rank = view->rank,
                                    .length = (uint64_t)tensor_view_count(view) * sizeof(float),
                                    .view = *view};
    memcpy(it->dims, view->dims, sizeof it->dims);
    return it->name;
}

/* The constant called `name`, which tells its content. */
static const char *add_constant(struct onnx_graph *graph, const char *name,
                                const struct onnx_initializer *constant)
{
    uint32_t index;
    if (map_find_text(&graph->constants, str_from(name), &index))
        return graph->initializers.items[index].name;
    map_add_text(&graph->constants, &graph->arena, str_from(name), graph->initializers.count);
    struct onnx_initializer *it = VEC_PUSH(&graph->arena, &graph->initializers);
    *it = *constant;
    it->name = onnx_graph_name(graph, str_from(name));
    it->bytes = arena_copy_string(&graph->arena, constant->bytes, constant->length);
    return it->name;
}

const char *onnx_graph_integers(struct onnx_graph *graph, uint32_t count, const int64_t *values)
{
    const char *name = "constant/integers";
    for (uint32_t i = 0; i < count; i++)
        name = arena_printf(&graph->arena, "%s_%" PRId64, name, values[i]);
    struct onnx_initializer constant = {
        .kind = ONNX_INT64, .rank = 1, .dims = {count}, .length = count * sizeof *values, .bytes = values};
    return add_constant(graph, name, &constant);
}

const char *onnx_graph_integer(struct onnx_graph *graph, int64_t value)
{
    const char *name = arena_printf(&graph->arena, "constant/integer_%" PRId64, value);
    struct onnx_initializer constant = {.kind = ONNX_INT64, .length = sizeof value, .bytes = &value};
    return add_constant(graph, name, &constant);
}

const char *onnx_graph_float(struct onnx_graph *graph, float value)
{
    const char *name = arena_printf(&graph->arena, "constant/float_%.9g", (double)value);
    struct onnx_initializer constant = {.kind = ONNX_FLOAT, .length = sizeof value, .bytes = &value};
    return add_constant(graph, name, &constant);
}
