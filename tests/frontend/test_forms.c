/* Norms, activations, positions and packed projections in the spellings of exporters: which ops they become.
 */
#include "ir/build.h"
#include "tests/frontend/import.h"
#include <math.h>

enum { HIDDEN = 6, VOCABULARY = 7 };

/* table -> x -> what a test adds -> head. */
struct form {
    struct import_fixture f;
    struct onnx_writer w;
    struct imported_model model;
};

static void vector(struct form *s, const char *name, int64_t count)
{
    float *values = onnx_llama_weight(name, count);
    onnx_tensor(&s->w, name, ONNX_TEST_FLOAT, 1, &count, values, (size_t)count * sizeof *values);
    free(values);
}

static void matrix(struct form *s, const char *name, int64_t rows, int64_t columns)
{
    int64_t dims[2] = {rows, columns};
    float *values = onnx_llama_weight(name, rows * columns);
    onnx_tensor(&s->w, name, ONNX_TEST_FLOAT, 2, dims, values, (size_t)(rows * columns) * sizeof *values);
    free(values);
}

static void form_create(struct form *s, int64_t opset)
{
    memset(s, 0, sizeof *s);
    import_fixture_create(&s->f);
    s->w.opset = opset;
    s->w.node_prefix = "/n/";
    onnx_input(&s->w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    matrix(s, "table", VOCABULARY, HIDDEN);
    matrix(s, "head", HIDDEN, VOCABULARY);
    const char *inputs[2] = {"table", "input_ids"}, *x = "x";
    onnx_op_named(&s->w, "Gather", 1, &x, 2, inputs);
}

static const char *op1(struct form *s, const char *op, const char *x)
{
    return onnx_op(&s->w, op, x, NULL);
}

static const char *op2(struct form *s, const char *op, const char *x, const char *y)
{
    return onnx_op(&s->w, op, x, y, NULL);
}

static const char *number(struct form *s, double value)
{
    return onnx_const_float(&s->w, (float)value);
}

/* Imports with `y` under the head, and compares the ops in order. Afterwards s->model is there to look at. */
static void form_import(struct form *s, const char *y, const char *ops)
{
    static struct trace trace;
    struct builder bytes = {0}, found = {0};
    const char *inputs[2] = {y, "head"}, *logits = "logits";
    onnx_op_named(&s->w, "MatMul", 1, &logits, 2, inputs);
    onnx_output(&s->w, "logits");
    onnx_finish(&s->w, &bytes);
    import_write_bytes(&s->f, "model.onnx", bytes.data, bytes.length);
    assert_ok(frontend_import_onnx(&s->model, s->f.path, NULL, &trace), &trace);
    for (uint32_t i = 0; i < s->model.graph->nodes.count; i++)
        builder_printf(&found, "%s%s", i ? " " : "", op_table[s->model.graph->nodes.items[i].op].name);
    assert_string_equal(builder_text(&found), ops);
    builder_release(&bytes);
    builder_release(&found);
}

static void form_release(struct form *s)
{
    imported_model_release(&s->model);
    onnx_writer_release(&s->w);
    import_fixture_release(&s->f);
}

static void check_form(struct form *s, const char *y, const char *ops)
{
    form_import(s, y, ops);
    form_release(s);
}

static const struct node *find_node(const struct form *s, enum op op)
{
    for (uint32_t i = 0; i < s->model.graph->nodes.count; i++)
        if (s->model.graph->nodes.items[i].op == op)
            return &s->model.graph->nodes.items[i];
    fail_msg("no %s", op_table[op].name);
    return NULL;
}

/* The values of a weight that a test gave the name `part`. */
static void assert_weight(const struct form *s, const char *name, const char *part, int64_t count, float plus)
{
    const struct tensor *tensor = import_find_tensor(&s->model, name);
    assert_non_null(tensor);
    assert_int_equal(tensor_view_count(&tensor->view), count);
    float *wanted = onnx_llama_weight(part, count), *found = calloc((size_t)count, sizeof *found);
    tensor_view_read_f32(&tensor->view, 0, count, found);
    for (int64_t i = 0; i < count; i++)
        assert_float_equal(found[i], wanted[i] + plus, 0);
    free(wanted);
    free(found);
}

static const char *mean(struct form *s, const char *x)
{
    onnx_attribute_ints(&s->w, "axes", 1, (const int64_t[]){-1});
    return op1(s, "ReduceMean", x);
}

enum layer_norm { BY_POW, BY_MUL, BY_RECIPROCAL, GAIN_FIRST, FUSED, FUSED_WITHOUT_BIAS };

static const char *layer_norm(struct form *s, enum layer_norm how, const char *weight, const char *bias)
{
    struct onnx_writer *w = &s->w;
    if (how >= FUSED) {
        onnx_attribute_int(w, "axis", -1);
        onnx_attribute_float(w, "epsilon", 1e-3f);
        return how == FUSED ? onnx_op(w, "LayerNormalization", "x", weight, bias, NULL)
                            : onnx_op(w, "LayerNormalization", "x", weight, NULL);
    }
    const char *centred = op2(s, "Sub", "x", mean(s, "x"));
    const char *square =
        how == BY_POW ? op2(s, "Pow", centred, number(s, 2)) : op2(s, "Mul", centred, centred);
    const char *root = op1(s, "Sqrt", op2(s, "Add", number(s, (double)1e-3f), mean(s, square)));
    const char *normal = how == BY_POW          ? op2(s, "Div", centred, root)
                         : how == BY_RECIPROCAL ? op2(s, "Mul", op1(s, "Reciprocal", root), centred)
                                                : NULL;
    if (how == BY_MUL)
        normal = op2(s, "Mul", centred, op2(s, "Div", number(s, 1), root));
    const char *scaled = how == GAIN_FIRST ? op2(s, "Div", op2(s, "Mul", weight, centred), root)
                                           : op2(s, "Mul", weight, normal);
    return op2(s, "Add", bias, scaled);
}

static void imports_every_form_of_layer_norm(void **state)
{
    (void)state;
    for (enum layer_norm how = BY_POW; how <= FUSED_WITHOUT_BIAS; how++) {
        struct form s;
        form_create(&s, 17);
        vector(&s, "weight", HIDDEN);
        vector(&s, "bias", HIDDEN);
        form_import(&s, layer_norm(&s, how, "weight", "bias"),
                    how == FUSED_WITHOUT_BIAS ? "embed layernorm matmul_nt"
                                              : "embed layernorm add matmul_nt");
        assert_float_equal(node_real(find_node(&s, OP_layernorm), ATTRIBUTE_epsilon), 1e-3f, 0);
        assert_weight(&s, "norm", "weight", HIDDEN, 0);
        if (how != FUSED_WITHOUT_BIAS)
            assert_weight(&s, "norm.bias", "bias", HIDDEN, 0);
        form_release(&s);
    }
}

/* weight + 1 is computed in the file. */
/* As torch.onnx writes nn.LayerNorm(bias=False); zeros that are stored are a bias like any other. */
static void biases_of_zeros_that_nobody_trained_are_none(void **state)
{
    (void)state;
    static const struct {
        bool is_constant, is_zero;
    } cases[] = {{true, true}, {true, false}, {false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct form s;
        const int64_t count = HIDDEN;
        float values[HIDDEN] = {0};
        const char *bias = "bias";
        form_create(&s, 17);
        vector(&s, "weight", HIDDEN);
        values[HIDDEN - 1] = cases[i].is_zero ? 0 : 1;
        if (cases[i].is_constant) {
            onnx_attribute_tensor(&s.w, "value", ONNX_TEST_FLOAT, 1, &count, values, sizeof values);
            bias = onnx_op(&s.w, "Constant", NULL);
        } else {
            onnx_tensor(&s.w, bias, ONNX_TEST_FLOAT, 1, &count, values, sizeof values);
        }
        check_form(&s, layer_norm(&s, FUSED, "weight", bias),
                   i == 0 ? "embed layernorm matmul_nt" : "embed layernorm add matmul_nt");
    }
}

static void imports_norms_whose_weight_is_computed(void **state)
{
    (void)state;
    struct form s;
    form_create(&s, 17);
    vector(&s, "weight", HIDDEN);
    vector(&s, "bias", HIDDEN);
    form_import(&s, layer_norm(&s, FUSED, op2(&s, "Add", "weight", number(&s, 1)), "bias"),
                "embed layernorm add matmul_nt");
    assert_weight(&s, "norm", "weight", HIDDEN, 1);
    form_release(&s);
}

static void gives_a_norm_without_weight_one_of_ones(void **state)
{
    (void)state;
    struct form s;
    form_create(&s, 17);
    const char *centred = op2(&s, "Sub", "x", mean(&s, "x"));
    const char *root =
        op1(&s, "Sqrt", op2(&s, "Add", mean(&s, op2(&s, "Mul", centred, centred)), number(&s, 1e-3)));
    form_import(&s, op2(&s, "Div", centred, root), "embed layernorm matmul_nt");
    const struct tensor *ones = import_find_tensor(&s.model, "norm");
    float found[HIDDEN];
    assert_non_null(ones);
    tensor_view_read_f32(&ones->view, 0, HIDDEN, found);
    for (int i = 0; i < HIDDEN; i++)
        assert_float_equal(found[i], 1, 0);
    form_release(&s);
}

/* Heads of three channels, normalised one by one with a shared weight. */
static void imports_norms_of_heads(void **state)
{
    (void)state;
    for (int fused = 0; fused < 2; fused++) {
        struct form s;
        form_create(&s, fused ? 23 : 17);
        vector(&s, "weight", 3);
        const char *heads = op2(&s, "Reshape", "x", onnx_const_ints(&s.w, 4, (const int64_t[]){0, 0, 2, 3}));
        const char *y;
        if (fused) {
            onnx_attribute_float(&s.w, "epsilon", 1e-3f);
            y = op2(&s, "RMSNormalization", heads, "weight");
        } else {
            const char *variance = mean(&s, op2(&s, "Pow", heads, number(&s, 2)));
            const char *root = op1(&s, "Sqrt", op2(&s, "Add", variance, number(&s, (double)1e-3f)));
            y = op2(&s, "Mul", op2(&s, "Div", heads, root), "weight");
        }
        y = op2(&s, "Reshape", y, onnx_const_ints(&s.w, 3, (const int64_t[]){0, 0, 6}));
        form_import(&s, y, "embed head_rmsnorm matmul_nt");
        assert_int_equal(node_integer(find_node(&s, OP_head_rmsnorm), ATTRIBUTE_heads), 2);
        form_release(&s);
    }
}

static void imports_every_form_of_gelu(void **state)
{
    (void)state;
    struct form s;
    for (int form = 0; form < 4; form++) {
        form_create(&s, 17);
        const char *scaled =
            form % 2 ? op2(&s, "Mul", "x", number(&s, sqrt(0.5))) : op2(&s, "Div", "x", number(&s, sqrt(2)));
        const char *sum = op2(&s, "Add", op1(&s, "Erf", scaled), number(&s, 1)), *y;
        if (form < 2)
            y = op2(&s, "Mul", op2(&s, "Mul", "x", sum), number(&s, 0.5));
        else if (form == 2)
            y = op2(&s, "Mul", op2(&s, "Mul", "x", number(&s, 0.5)), sum);
        else
            y = op2(&s, "Mul", op2(&s, "Mul", number(&s, 0.5), sum), "x");
        check_form(&s, y, "embed gelu matmul_nt");
    }
    form_create(&s, 20);
    check_form(&s, op1(&s, "Gelu", "x"), "embed gelu matmul_nt");
}

static void imports_every_form_of_gelu_by_tangent(void **state)
{
    (void)state;
    const double outer = sqrt(2 / M_PI);
    struct form s;
    for (int form = 0; form < 4; form++) {
        form_create(&s, 17);
        const char *inner;
        if (form < 2) { /* x + 0.044715 x^3 */
            const char *cube =
                form ? op2(&s, "Pow", "x", number(&s, 3)) : op2(&s, "Mul", op2(&s, "Mul", "x", "x"), "x");
            inner = op2(&s, "Add", "x", op2(&s, "Mul", cube, number(&s, 0.044715)));
            inner = op2(&s, "Mul", inner, number(&s, outer));
        } else { /* x (1 + 0.044715 x x), the scale outside or on x */
            const char *share = op2(&s, "Mul", op2(&s, "Mul", number(&s, 0.044715), "x"), "x");
            const char *slope = op2(&s, "Add", number(&s, 1), share);
            inner = form == 2 ? op2(&s, "Mul", op2(&s, "Mul", number(&s, outer), "x"), slope)
                              : op2(&s, "Mul", number(&s, outer), op2(&s, "Mul", slope, "x"));
        }
        const char *sum = op2(&s, "Add", number(&s, 1), op1(&s, "Tanh", inner));
        check_form(&s, op2(&s, "Mul", op2(&s, "Mul", "x", number(&s, 0.5)), sum),
                   "embed gelu_tanh matmul_nt");
    }
    form_create(&s, 20);
    onnx_attribute_text(&s.w, "approximate", "tanh");
    check_form(&s, op1(&s, "Gelu", "x"), "embed gelu_tanh matmul_nt");
}

/* A constant that is not GELU's gives no GELU. */
static void tells_other_tangents_from_gelu(void **state)
{
    (void)state;
    struct form s;
    struct builder bytes = {0};
    static struct trace trace;
    form_create(&s, 17);
    const char *inner = op2(
        &s, "Mul", op2(&s, "Add", "x", op2(&s, "Mul", op2(&s, "Pow", "x", number(&s, 3)), number(&s, 0.05))),
        number(&s, sqrt(2 / M_PI)));
    const char *sum = op2(&s, "Add", number(&s, 1), op1(&s, "Tanh", inner)), *logits = "logits";
    const char *inputs[2] = {"x", sum};
    onnx_op_named(&s.w, "Mul", 1, &logits, 2, inputs);
    onnx_output(&s.w, "logits");
    onnx_finish(&s.w, &bytes);
    import_write_bytes(&s.f, "model.onnx", bytes.data, bytes.length);
    assert_fails(frontend_import_onnx(&s.model, s.f.path, NULL, &trace), UNSUPPORTED, &trace,
                 "a cube is left that no rule understands");
    builder_release(&bytes);
    form_release(&s);
}

static void imports_squared_relu_and_tangents(void **state)
{
    (void)state;
    struct form s;
    form_create(&s, 17);
    check_form(&s, op2(&s, "Pow", op1(&s, "Relu", "x"), onnx_const_index(&s.w, 2)),
               "embed relu mul matmul_nt");
    form_create(&s, 17);
    const char *relu = op1(&s, "Relu", "x");
    check_form(&s, op2(&s, "Mul", relu, relu), "embed relu mul matmul_nt");
    form_create(&s, 17);
    const char *capped = op1(&s, "Tanh", op2(&s, "Div", "x", number(&s, 30)));
    check_form(&s, op2(&s, "Mul", capped, number(&s, 30)), "embed scale tanh scale matmul_nt");
}

/* Rows 0, 1, ... or with an offset, picked by ids or sliced. */
static void imports_every_form_of_learned_positions(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) {
        struct form s;
        form_create(&s, 17);
        struct onnx_writer *w = &s.w;
        matrix(&s, "wpe", 16, HIDDEN);
        onnx_attribute_int(w, "axis", 0);
        const char *length =
            op2(&s, "Gather", op1(&s, "Shape", "input_ids"), onnx_const_ints(w, 1, (const int64_t[]){1}));
        const char *rows, *zero = onnx_const_ints(w, 1, (const int64_t[]){0});
        if (form == 2) {
            rows = onnx_op(w, "Slice", "wpe", zero, length, zero, NULL);
        } else {
            const char *scalar = op2(&s, "Squeeze", length, zero);
            const char *ids =
                onnx_op(w, "Range", onnx_const_index(w, 0), scalar, onnx_const_index(w, 1), NULL);
            ids = op2(&s, "Unsqueeze", ids, zero);
            ids = form == 1 ? op2(&s, "Add", ids, onnx_const_index(w, 2)) : ids;
            rows = op2(&s, "Gather", "wpe", ids);
        }
        form_import(&s, form ? op2(&s, "Add", rows, "x") : op2(&s, "Add", "x", rows),
                    "embed add_positions matmul_nt");
        assert_int_equal(node_integer(find_node(&s, OP_add_positions), ATTRIBUTE_start), form == 1 ? 2 : 0);
        assert_weight(&s, "positions", "wpe", 16 * HIDDEN, 0);
        form_release(&s);
    }
}

/* A linear layer of 2 x 3 x 4 channels with a bias; group 1 of each of the two is read. */
static void takes_interleaved_parts_of_a_linear_layer(void **state)
{
    (void)state;
    enum { SLICE, GATHER, GATHER_ND };
    for (int how = SLICE; how <= GATHER_ND; how++) {
        struct form s;
        form_create(&s, 17);
        struct onnx_writer *w = &s.w;
        matrix(&s, "packed", HIDDEN, 24);
        vector(&s, "bias", 24);
        matrix(&s, "back", 8, HIDDEN);
        const char *y = op2(&s, "Add", op2(&s, "MatMul", "x", "packed"), "bias");
        y = op2(&s, "Reshape", y, onnx_const_ints(w, 5, (const int64_t[]){0, 0, 2, 3, 4}));
        if (how == GATHER_ND) { /* of the first axis, so that one comes first */
            onnx_attribute_ints(w, "perm", 5, (const int64_t[]){3, 0, 1, 2, 4});
            y = op2(&s, "GatherND", op1(&s, "Transpose", y), onnx_const_ints(w, 1, (const int64_t[]){1}));
        } else if (how == GATHER) {
            onnx_attribute_int(w, "axis", 3);
            y = op2(&s, "Gather", y, onnx_const_index(w, 1));
        } else {
            const char *one = onnx_const_ints(w, 1, (const int64_t[]){1});
            y = onnx_op(w, "Slice", y, one, onnx_const_ints(w, 1, (const int64_t[]){2}),
                        onnx_const_ints(w, 1, (const int64_t[]){3}), NULL);
        }
        y = op2(&s, "Reshape", y, onnx_const_ints(w, 3, (const int64_t[]){0, 0, 8}));
        form_import(&s, op2(&s, "MatMul", y, "back"), "embed matmul_nt add matmul_nt matmul_nt");
        const struct node *add = find_node(&s, OP_add);
        const struct value *bias = graph_value(s.model.graph, add->inputs[1]);
        float found[8], *all = onnx_llama_weight("bias", 24);
        assert_int_equal(bias->origin, VALUE_TENSOR);
        tensor_view_read_f32(&s.model.graph->tensors.items[bias->source].view, 0, 8, found);
        for (int i = 0; i < 8; i++)
            assert_float_equal(found[i], all[i / 4 * 12 + 4 + i % 4], 0);
        free(all);
        form_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_every_form_of_layer_norm),
        cmocka_unit_test(biases_of_zeros_that_nobody_trained_are_none),
        cmocka_unit_test(imports_norms_whose_weight_is_computed),
        cmocka_unit_test(gives_a_norm_without_weight_one_of_ones),
        cmocka_unit_test(imports_norms_of_heads),
        cmocka_unit_test(imports_every_form_of_gelu),
        cmocka_unit_test(imports_every_form_of_gelu_by_tangent),
        cmocka_unit_test(tells_other_tangents_from_gelu),
        cmocka_unit_test(imports_squared_relu_and_tangents),
        cmocka_unit_test(imports_every_form_of_learned_positions),
        cmocka_unit_test(takes_interleaved_parts_of_a_linear_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
