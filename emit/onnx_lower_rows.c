/* Lowerings of what works on rows: embedding, norm, linear layers and everything pointwise. */
#include "emit/onnx_lower.h"

/* table [v, d], ids [b, s] -> [b, s, d] */
enum status onnx_lower_embed(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "Gather", onnx_lower_input(l, 0), onnx_lower_input(l, 1), onnx_lower_result(l));
    return OK;
}

/* x [..., d], w [d]: x / sqrt(mean(x^2) + epsilon) * w, in the spelling that runtimes fuse. */
enum status onnx_lower_rmsnorm(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    const char *x = onnx_lower_input(l, 0), *mean = onnx_lower_part(l, "mean");
    const char *square =
        onnx_lower_apply(l, "Pow", x, onnx_graph_float(l->onnx, 2), onnx_lower_part(l, "square"));
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "ReduceMean",
                                                .inputs = {square},
                                                .outputs = {mean},
                                                .attributes = {{"axes", 1, {-1}}, {"keepdims", 0, {1}}}});
    const char *epsilon = onnx_graph_float(l->onnx, node_real(l->node, ATTRIBUTE_epsilon));
    const char *sum = onnx_lower_apply(l, "Add", mean, epsilon, onnx_lower_part(l, "sum"));
    const char *root = onnx_lower_apply(l, "Sqrt", sum, NULL, onnx_lower_part(l, "root"));
    const char *scaled = onnx_lower_apply(l, "Div", x, root, onnx_lower_part(l, "scaled"));
    onnx_lower_apply(l, "Mul", scaled, onnx_lower_input(l, 1), onnx_lower_result(l));
    return OK;
}

/* The transpose of the node's second operand [n, k], made once. */
static const char *transposed_operand(struct onnx_lower *l)
{
    uint32_t value = l->node->inputs[1];
    if (!l->transposed[value]) {
        struct str name = str_from(arena_printf(&l->onnx->arena, "%s/transposed", l->names[value]));
        l->transposed[value] = onnx_lower_transpose(l, l->names[value], 2, (const int64_t[]){1, 0},
                                                    onnx_graph_name(l->onnx, name));
    }
    return l->transposed[value];
}

/* x [..., k], w [n, k] -> [..., n] */
enum status onnx_lower_matmul_nt(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "MatMul", onnx_lower_input(l, 0), transposed_operand(l), onnx_lower_result(l));
    return OK;
}

/* x [..., k], w [k, n] -> [..., n] */
enum status onnx_lower_matmul_nn(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "MatMul", onnx_lower_input(l, 0), onnx_lower_input(l, 1), onnx_lower_result(l));
    return OK;
}

enum status onnx_lower_silu(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    const char *x = onnx_lower_input(l, 0);
    const char *sigmoid = onnx_lower_apply(l, "Sigmoid", x, NULL, onnx_lower_part(l, "sigmoid"));
    onnx_lower_apply(l, "Mul", x, sigmoid, onnx_lower_result(l));
    return OK;
}

enum status onnx_lower_add(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "Add", onnx_lower_input(l, 0), onnx_lower_input(l, 1), onnx_lower_result(l));
    return OK;
}

enum status onnx_lower_mul(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "Mul", onnx_lower_input(l, 0), onnx_lower_input(l, 1), onnx_lower_result(l));
    return OK;
}

enum status onnx_lower_scale(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    const char *factor = onnx_graph_float(l->onnx, node_real(l->node, ATTRIBUTE_scale));
    onnx_lower_apply(l, "Mul", onnx_lower_input(l, 0), factor, onnx_lower_result(l));
    return OK;
}
