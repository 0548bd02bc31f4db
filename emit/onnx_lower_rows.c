/* Lowerings of what works on rows: embedding, norm, linear layers and everything pointwise. */
#include "emit/onnx_interface.h"

/* table [v, d], ids [b, s] -> [b, s, d] */
enum status onnx_lower_embed(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "Gather", onnx_lower_input(l, 0), onnx_lower_input(l, 1), onnx_lower_result(l));
    return OK;
}

static const char *fused_rmsnorm(struct onnx_lower *l, const char *x, const char *output)
{
    float epsilon = node_real(l->node, ATTRIBUTE_epsilon);
    onnx_graph_add(
        l->onnx, &(struct onnx_node){.op = "RMSNormalization",
                                     .inputs = {x, onnx_lower_input(l, 1)},
                                     .outputs = {output},
                                     .attributes = {{.name = "axis", .values = {-1}},
                                                    {.name = "epsilon", .is_real = true, .real = epsilon}}});
    return output;
}

/* x [..., d] times weight / sqrt(mean(x^2) + epsilon), in the spelling that runtimes fuse. */
static const char *rmsnorm(struct onnx_lower *l, const char *x, const char *output)
{
    if (l->onnx->form == ONNX_FUSED)
        return fused_rmsnorm(l, x, output);
    const char *mean = onnx_lower_part(l, "mean");
    const char *square =
        onnx_lower_apply(l, "Pow", x, onnx_graph_float(l->onnx, 2), onnx_lower_part(l, "square"));
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "ReduceMean",
                                                .inputs = {square},
                                                .outputs = {mean},
                                                .attributes = {{.name = "axes", .count = 1, .values = {-1}},
                                                               {.name = "keepdims", .values = {1}}}});
    const char *epsilon = onnx_graph_float(l->onnx, node_real(l->node, ATTRIBUTE_epsilon));
    const char *sum = onnx_lower_apply(l, "Add", mean, epsilon, onnx_lower_part(l, "sum"));
    const char *root = onnx_lower_apply(l, "Sqrt", sum, NULL, onnx_lower_part(l, "root"));
    const char *scaled = onnx_lower_apply(l, "Div", x, root, onnx_lower_part(l, "scaled"));
    return onnx_lower_apply(l, "Mul", scaled, onnx_lower_input(l, 1), output);
}

/* x [..., d], w [d] */
enum status onnx_lower_rmsnorm(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    rmsnorm(l, onnx_lower_input(l, 0), onnx_lower_result(l));
    return OK;
}

/* x [b, s, n*d], w [d] */
enum status onnx_lower_head_rmsnorm(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    int64_t width = onnx_lower_size(l, 0, 2), size = onnx_lower_size(l, 1, 0);
    const char *heads =
        onnx_lower_reshape(l, onnx_lower_input(l, 0), 4, (const int64_t[]){0, 0, width / size, size},
                           onnx_lower_part(l, "heads"));
    const char *norm = rmsnorm(l, heads, onnx_lower_part(l, "norm"));
    onnx_lower_reshape(l, norm, 3, (const int64_t[]){0, 0, width}, onnx_lower_result(l));
    return OK;
}

/* x [..., d], w [d] */
enum status onnx_lower_layernorm(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_graph_add(l->onnx,
                   &(struct onnx_node){.op = "LayerNormalization",
                                       .inputs = {onnx_lower_input(l, 0), onnx_lower_input(l, 1)},
                                       .outputs = {onnx_lower_result(l)},
                                       .attributes = {{.name = "axis", .values = {-1}},
                                                      {.name = "epsilon",
                                                       .is_real = true,
                                                       .real = node_real(l->node, ATTRIBUTE_epsilon)}}});
    return OK;
}

/* x [b, s, d], table [p, d]: rows start, start + 1, ... of the table, picked by positions. */
enum status onnx_lower_add_positions(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    int64_t start = node_integer(l->node, ATTRIBUTE_start);
    bool has_batch;
    const char *ids = onnx_lower_table_positions(l, POSITIONS_COUNTED, &has_batch);
    if (start != 0)
        ids = onnx_lower_apply(l, "Add", ids, onnx_graph_integer(l->onnx, start), onnx_lower_part(l, "ids"));
    const char *rows = onnx_lower_apply(l, "Gather", onnx_lower_input(l, 1), ids, onnx_lower_part(l, "rows"));
    onnx_lower_apply(l, "Add", onnx_lower_input(l, 0), rows, onnx_lower_result(l));
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

enum status onnx_lower_relu(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "Relu", onnx_lower_input(l, 0), NULL, onnx_lower_result(l));
    return OK;
}

enum status onnx_lower_tanh(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    onnx_lower_apply(l, "Tanh", onnx_lower_input(l, 0), NULL, onnx_lower_result(l));
    return OK;
}

static const char *times(struct onnx_lower *l, const char *x, float factor, const char *part)
{
    return onnx_lower_apply(l, "Mul", x, onnx_graph_float(l->onnx, factor), onnx_lower_part(l, part));
}

/* x * (1 + t) / 2 */
static void weigh_by(struct onnx_lower *l, const char *t)
{
    const char *sum = onnx_lower_apply(l, "Add", t, onnx_graph_float(l->onnx, 1), onnx_lower_part(l, "sum"));
    const char *product =
        onnx_lower_apply(l, "Mul", onnx_lower_input(l, 0), sum, onnx_lower_part(l, "product"));
    onnx_lower_apply(l, "Mul", product, onnx_graph_float(l->onnx, 0.5f), onnx_lower_result(l));
}

/* t = erf(x * sqrt(1/2)) */
enum status onnx_lower_gelu(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    const char *scaled = times(l, onnx_lower_input(l, 0), 0.707106769f, "scaled");
    weigh_by(l, onnx_lower_apply(l, "Erf", scaled, NULL, onnx_lower_part(l, "erf")));
    return OK;
}

/* t = tanh(sqrt(2/pi) * x * (1 + 0.044715 * x^2)) */
enum status onnx_lower_gelu_tanh(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    const char *x = onnx_lower_input(l, 0);
    const char *square = onnx_lower_apply(l, "Mul", x, x, onnx_lower_part(l, "square"));
    const char *share = times(l, square, 0.044715f, "share");
    const char *slope =
        onnx_lower_apply(l, "Add", share, onnx_graph_float(l->onnx, 1), onnx_lower_part(l, "slope"));
    const char *bent = onnx_lower_apply(l, "Mul", x, slope, onnx_lower_part(l, "bent"));
    const char *inner = times(l, bent, 0.797884583f, "inner");
    weigh_by(l, onnx_lower_apply(l, "Tanh", inner, NULL, onnx_lower_part(l, "tanh")));
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
