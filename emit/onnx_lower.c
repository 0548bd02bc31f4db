/* See emit/onnx_lower.h: the walk over the graph, and what the functions of the table share. */
#include "emit/onnx_interface.h"
#include <assert.h>
#include <inttypes.h>

typedef enum status lowering(struct onnx_lower *l, struct trace *trace);

static lowering *const lowerings[OP_COUNT] = {
#define ONNX_LOWERING(op, function) [OP_##op] = function,
#include "emit/onnx_lowerings.def"
};

const char *onnx_lower_input(const struct onnx_lower *l, uint32_t input)
{
    return l->names[l->node->inputs[input]];
}

const char *onnx_lower_result(struct onnx_lower *l)
{
    uint32_t result = l->node->results[0];
    if (!l->names[result])
        l->names[result] = onnx_graph_name(l->onnx, str_from(l->prefix));
    return l->names[result];
}

const char *onnx_lower_part(struct onnx_lower *l, const char *part)
{
    return onnx_graph_name(l->onnx, str_from(arena_printf(&l->onnx->arena, "%s/%s", l->prefix, part)));
}

int64_t onnx_lower_size(const struct onnx_lower *l, uint32_t input, uint32_t axis)
{
    const struct value *v = graph_value(l->graph, l->node->inputs[input]);
    int64_t size = dims_size(&l->graph->dims, v->axes[axis]);
    assert(size > 0);
    return size;
}

const char *onnx_lower_apply(struct onnx_lower *l, const char *op, const char *a, const char *b,
                             const char *output)
{
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = op, .inputs = {a, b}, .outputs = {output}});
    return output;
}

const char *onnx_lower_reshape(struct onnx_lower *l, const char *x, uint32_t rank, const int64_t *shape,
                               const char *output)
{
    return onnx_lower_apply(l, "Reshape", x, onnx_graph_integers(l->onnx, rank, shape), output);
}

const char *onnx_lower_transpose(struct onnx_lower *l, const char *x, uint32_t rank, const int64_t *order,
                                 const char *output)
{
    struct onnx_node node = {.op = "Transpose", .inputs = {x}, .outputs = {output}};
    node.attributes[0] = (struct onnx_attribute){.name = "perm", .count = rank};
    for (uint32_t i = 0; i < rank; i++)
        node.attributes[0].values[i] = order[i];
    onnx_graph_add(l->onnx, &node);
    return output;
}

const char *onnx_lower_unsqueeze(struct onnx_lower *l, const char *x, int64_t axis, const char *output)
{
    return onnx_lower_apply(l, "Unsqueeze", x, onnx_graph_integers(l->onnx, 1, &axis), output);
}

/* A tensor that only multiplies from the right as the transpose of itself is stored as that transpose. */
static bool is_linear_only(const struct graph *graph, uint32_t value)
{
    bool is_used = false;
    for (uint32_t i = 0; i < graph->nodes.count; i++) {
        const struct node *node = &graph->nodes.items[i];
        for (uint32_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] != value)
                continue;
            if (node->op != OP_matmul_nt || k != 1)
                return false;
            is_used = true;
        }
    }
    return is_used;
}

static enum status add_tensor(struct onnx_lower *l, const struct tensor *tensor, struct trace *trace)
{
    if (tensor->view.dtype == DTYPE_I32)
        return status_fail(trace, UNSUPPORTED, "ONNX export: the weight \"" STR_FORMAT "\" holds integers",
                           STR_ARGUMENT(tensor->name));
    if (is_linear_only(l->graph, tensor->value)) {
        struct tensor_view view = tensor_view_transpose(&tensor->view);
        l->transposed[tensor->value] = onnx_graph_weight(l->onnx, tensor->name, &view);
    } else {
        l->names[tensor->value] = onnx_graph_weight(l->onnx, tensor->name, &tensor->view);
    }
    return OK;
}

/* One input of ids, called tokens; one output, logits, that a node computes. */
static enum status check_interface(const struct graph *graph, struct trace *trace)
{
    for (uint32_t i = 0; i < graph->inputs.count; i++) {
        const struct input *input = &graph->inputs.items[i];
        const struct value *v = graph_value(graph, input->value);
        if (!str_is(input->name, "tokens") || v->dtype != DTYPE_I32 || v->rank != 2)
            return status_fail(
                trace, UNSUPPORTED,
                "ONNX export: expected the one input tokens (i32 of two axes), found \"" STR_FORMAT
                "\" (%s of %" PRIu32 ")",
                STR_ARGUMENT(input->name), dtype_name(v->dtype), v->rank);
    }
    if (graph->inputs.count != 1 || graph->outputs.count != 1)
        return status_fail(trace, UNSUPPORTED,
                           "ONNX export: expected one input and one output, found %" PRIu32 " and %" PRIu32,
                           graph->inputs.count, graph->outputs.count);
    const struct output *output = &graph->outputs.items[0];
    const struct value *v = graph_value(graph, output->value);
    if (!str_is(output->name, "logits") || v->origin != VALUE_NODE || v->rank != 3)
        return status_fail(trace, UNSUPPORTED,
                           "ONNX export: expected the output logits of three axes, found \"" STR_FORMAT
                           "\" of %" PRIu32,
                           STR_ARGUMENT(output->name), v->rank);
    return OK;
}

static enum status lower_node(struct onnx_lower *l, uint32_t index, struct trace *trace)
{
    const struct node *node = &l->graph->nodes.items[index];
    const char *op = op_table[node->op].name;
    l->node = node;
    l->prefix = arena_printf(&l->onnx->arena, "%s_%" PRIu32, op, index);
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct value *v = graph_value(l->graph, node->inputs[i]);
        if (v->origin == VALUE_NODE && v->slot != 0)
            return status_fail(trace, UNSUPPORTED,
                               "ONNX export: node %" PRIu32 " (%s" STR_FORMAT
                               ") reads another than the first result of a node",
                               index, op, STR_ARGUMENT(node->origin));
    }
    if (!lowerings[node->op])
        return status_fail(trace, UNSUPPORTED,
                           "ONNX export: node %" PRIu32 " is %s (%s), which has no form in ONNX here", index,
                           op, op_table[node->op].summary);
    TRY_WITH(trace, lowerings[node->op](l, trace), "while writing node %" PRIu32 " (%s)", index, op);
    return OK;
}

enum status onnx_lower_graph(struct onnx_graph *onnx, const struct graph *graph,
                             enum emit_interface interface, struct trace *trace)
{
    uint32_t count = graph->values.count;
    TRY(check_interface(graph, trace));
    struct onnx_lower l = {.onnx = onnx,
                           .graph = graph,
                           .names = ARENA_ARRAY(&onnx->arena, const char *, count),
                           .sines = ARENA_ARRAY(&onnx->arena, const char *, count),
                           .transposed = ARENA_ARRAY(&onnx->arena, const char *, count)};
    TRY(onnx_interface_choose(&l.interface, graph, interface, trace));
    TRY(onnx_interface_declare(&l, trace));
    l.names[graph->inputs.items[0].value] = l.tokens;
    l.names[graph->outputs.items[0].value] = l.logits;
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        TRY(add_tensor(&l, &graph->tensors.items[i], trace));
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        TRY(lower_node(&l, i, trace));
    return OK;
}
