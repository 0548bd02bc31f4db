/* What is not understood is refused, naming the node and the reason; what contradicts itself is invalid. */
#include "tests/frontend/import.h"

static struct trace trace;

static void expect(const struct onnx_llama *model, enum status status, const char *words)
{
    struct import_fixture f;
    struct imported_model imported;
    import_fixture_create(&f);
    import_write(&f, model);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), status, &trace, words);
    assert_non_null(strstr(trace.text, "while importing"));
    assert_null(imported.graph);
    import_fixture_release(&f);
}

/* A graph written node by node; the test finishes it. */
struct small {
    struct import_fixture f;
    struct onnx_writer w;
};

static void small_create(struct small *s)
{
    memset(s, 0, sizeof *s);
    import_fixture_create(&s->f);
    s->w.opset = 17;
    s->w.node_prefix = "/n/";
    onnx_input(&s->w, "input_ids", ONNX_TEST_INT64, "batch sequence");
}

static void small_matrix(struct small *s, const char *name, int64_t rows, int64_t columns)
{
    int64_t dims[2] = {rows, columns};
    float *values = onnx_llama_weight(name, rows * columns);
    onnx_tensor(&s->w, name, ONNX_TEST_FLOAT, 2, dims, values, (size_t)(rows * columns) * sizeof *values);
    free(values);
}

static void small_expect(struct small *s, enum status status, const char *words)
{
    struct builder bytes = {0};
    struct imported_model imported;
    onnx_finish(&s->w, &bytes);
    import_write_bytes(&s->f, "model.onnx", bytes.data, bytes.length);
    assert_fails(frontend_import_onnx(&imported, s->f.path, NULL, &trace), status, &trace, words);
    imported_model_release(&imported);
    builder_release(&bytes);
    onnx_writer_release(&s->w);
    import_fixture_release(&s->f);
}

static void node(struct small *s, const char *op, const char *output, const char *a, const char *b)
{
    const char *inputs[2] = {a, b};
    onnx_op_named(&s->w, op, 1, &output, b ? 2 : 1, inputs);
}

static void refuses_masks_that_are_not_causal(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    model.mask = MASK_NONE;
    expect(&model, UNSUPPORTED, "position 0 sees the later position 1");
    model.mask = MASK_SEES_NEXT;
    expect(&model, UNSUPPORTED, "position 0 sees the later position 1");
}

/* Chunks of so many positions: alike at any length that is tried, but for the number. */
static void refuses_chunks_of_positions(void **state)
{
    (void)state;
    static const int64_t sizes[] = {2, 3, 4, 5, 9, 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct onnx_llama model = onnx_llama_default();
        model.mask = MASK_CHUNKS;
        model.window = sizes[i];
        expect(&model, UNSUPPORTED, "attention mask is n");
    }
}

static void refuses_tiled_key_heads(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    model.repeat = REPEAT_TILED;
    expect(&model, UNSUPPORTED, "key heads are tiled");
}

static void refuses_rotary_tables_that_no_frequency_explains(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    model.rotary = ROTARY_TABLES;
    model.table_error = 1e-5f;
    expect(&model, UNSUPPORTED, "column 0 of a stored rotary table is not cosine and sine");
}

static void refuses_other_rotations(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    model.rotary = ROTARY_INVERSE;
    expect(&model, UNSUPPORTED, "channel 0 is not rotated with the channel half a head away");
}

static void refuses_operator_sets_out_of_range(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    model.opset = 9;
    expect(&model, UNSUPPORTED, "operator set 9");
    model.opset = 99;
    expect(&model, UNSUPPORTED, "operator set 99");
}

static void names_the_operator_without_a_rule(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    node(&s, "Gather", "x", "table", "input_ids");
    node(&s, "Softplus", "logits", "x", NULL);
    onnx_output(&s.w, "logits");
    small_expect(&s, UNSUPPORTED, "node '/n/Softplus_1' (Softplus, number 1): no rule for this operator");
}

static void refuses_control_flow_and_other_domains(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    node(&s, "If", "logits", "table", NULL);
    onnx_output(&s.w, "logits");
    small_expect(&s, UNSUPPORTED, "(If, number 0): no rule");
}

static void names_what_is_left_over(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    node(&s, "Gather", "x", "table", "input_ids");
    node(&s, "Erf", "logits", "x", NULL);
    onnx_output(&s.w, "logits");
    small_expect(&s, UNSUPPORTED, "node '/n/Erf_1' (Erf, number 1): an error function is left");
}

/* The mean that is subtracted is of something else. */
static void refuses_norms_by_the_mean_of_another_value(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    node(&s, "Gather", "x", "table", "input_ids");
    node(&s, "Relu", "other", "x", NULL);
    onnx_attribute_ints(&s.w, "axes", 1, (const int64_t[]){-1});
    node(&s, "ReduceMean", "mean", "other", NULL);
    node(&s, "Sub", "logits", "x", "mean");
    onnx_output(&s.w, "logits");
    small_expect(&s, UNSUPPORTED, "a mean is subtracted from rows, which is not their mean");
}

static void refuses_statistics_of_norms(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    node(&s, "Gather", "x", "table", "input_ids");
    const float ones[6] = {1, 1, 1, 1, 1, 1};
    onnx_tensor(&s.w, "w", ONNX_TEST_FLOAT, 1, (const int64_t[]){6}, ones, sizeof ones);
    const char *inputs[2] = {"x", "w"}, *outputs[2] = {"logits", "mean"};
    onnx_op_named(&s.w, "LayerNormalization", 2, outputs, 2, inputs);
    onnx_output(&s.w, "logits");
    small_expect(&s, UNSUPPORTED, "output 1 (a statistic) is not supported");
}

/* onnx #6187: a checker died of a LayerNormalization without its inputs. */
static void refuses_malformed_norms(void **state)
{
    (void)state;
    static const char *const inputs[][2] = {
        {"x", NULL}, {"x", ""}, {"", "w"}, {"x", "scalar"}, {"x", "table"}};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct small s;
        const char *output = "logits";
        const float ones[6] = {1, 1, 1, 1, 1, 1};
        small_create(&s);
        small_matrix(&s, "table", 7, 6);
        node(&s, "Gather", "x", "table", "input_ids");
        onnx_tensor(&s.w, "w", ONNX_TEST_FLOAT, 1, (const int64_t[]){6}, ones, sizeof ones);
        onnx_tensor(&s.w, "scalar", ONNX_TEST_FLOAT, 0, NULL, ones, sizeof *ones);
        const char *given[2] = {inputs[i][0], inputs[i][1]};
        onnx_op_named(&s.w, "LayerNormalization", 1, &output, inputs[i][1] ? 2 : 1, given);
        onnx_output(&s.w, "logits");
        small_expect(&s, UNSUPPORTED, "LayerNormalization");
    }
}

/* Rows that are not one a position, and rows that lie in the table twice. */
static void refuses_other_rows_of_a_table_of_positions(void **state)
{
    (void)state;
    for (int equal = 0; equal < 2; equal++) {
        struct small s;
        small_create(&s);
        small_matrix(&s, "table", 7, 6);
        float rows[16 * 6];
        for (int i = 0; i < 16 * 6; i++)
            rows[i] = equal ? 1 : (float)i;
        onnx_tensor(&s.w, "wpe", ONNX_TEST_FLOAT, 2, (const int64_t[]){16, 6}, rows, sizeof rows);
        node(&s, "Gather", "x", "table", "input_ids");
        node(&s, "Shape", "shape", "input_ids", NULL);
        onnx_attribute_int(&s.w, "axis", 0);
        const char *length = onnx_op(&s.w, "Gather", "shape", onnx_const_index(&s.w, 1), NULL);
        const char *ids =
            onnx_op(&s.w, "Range", onnx_const_index(&s.w, 0), length, onnx_const_index(&s.w, 1), NULL);
        if (!equal)
            ids = onnx_op(&s.w, "Mul", ids, onnx_const_index(&s.w, 2), NULL);
        node(&s, "Gather", "rows", "wpe", ids);
        node(&s, "Add", "logits", "x", "rows");
        onnx_output(&s.w, "logits");
        small_expect(&s, UNSUPPORTED,
                     equal ? "lie in 'wpe' more than once"
                           : "not neighbouring rows of 'wpe', one a position");
    }
}

static void refuses_shapes_that_mix_batch_and_channels(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    node(&s, "Gather", "x", "table", "input_ids");
    const char *shape = onnx_const_ints(&s.w, 2, (const int64_t[]){9, -1});
    node(&s, "Reshape", "logits", "x", shape);
    onnx_output(&s.w, "logits");
    small_expect(&s, UNSUPPORTED, "the shape cuts through the batch");
}

static void rejects_weights_that_do_not_fit(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    small_matrix(&s, "head", 5, 7);
    node(&s, "Gather", "x", "table", "input_ids");
    node(&s, "MatMul", "logits", "x", "head");
    onnx_output(&s.w, "logits");
    small_expect(&s, INVALID, "the weight takes 5 channels, its operand has 6");
}

static void rejects_cycles_and_names_them(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    small_matrix(&s, "table", 7, 6);
    node(&s, "Gather", "x", "table", "input_ids");
    node(&s, "Add", "a", "x", "c");
    node(&s, "Neg", "b", "a", NULL);
    node(&s, "Neg", "c", "b", NULL);
    node(&s, "Neg", "logits", "c", NULL);
    onnx_output(&s.w, "logits");
    small_expect(&s, INVALID, "cycle through the nodes");
    assert_non_null(strstr(trace.text, "'/n/Neg_2'"));
    assert_non_null(strstr(trace.text, "'/n/Add_1'"));
    assert_null(strstr(trace.text, "'/n/Gather_0'"));
}

static void rejects_values_defined_twice_or_never(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    node(&s, "Neg", "x", "input_ids", NULL);
    node(&s, "Neg", "x", "input_ids", NULL);
    onnx_output(&s.w, "x");
    small_expect(&s, INVALID, "value 'x' is defined twice: by /n/Neg_0 and by /n/Neg_1");
    small_create(&s);
    node(&s, "Neg", "x", "nothing", NULL);
    onnx_output(&s.w, "x");
    small_expect(&s, INVALID, "reads 'nothing', which nothing defines");
    small_create(&s);
    onnx_output(&s.w, "logits");
    small_expect(&s, INVALID, "nothing defines the output 'logits'");
}

static void rejects_tensors_whose_bytes_do_not_fit_their_shape(void **state)
{
    (void)state;
    struct small s;
    const float values[4] = {0};
    small_create(&s);
    onnx_tensor(&s.w, "w", ONNX_TEST_FLOAT, 2, (const int64_t[]){3, 2}, values, sizeof values);
    small_expect(&s, INVALID, "6 elements of type FLOAT take 24 bytes, found 16");
    small_create(&s);
    onnx_tensor(&s.w, "w", ONNX_TEST_FLOAT, 2, (const int64_t[]){-4, -1}, values, sizeof values);
    small_expect(&s, INVALID, "negative size -4");
    small_create(&s);
    onnx_tensor(&s.w, "w", ONNX_TEST_FLOAT, 3, (const int64_t[]){1LL << 40, 1LL << 40, 4}, values,
                sizeof values);
    small_expect(&s, INVALID, "overflows");
    small_create(&s);
    onnx_tensor(&s.w, "w", ONNX_TEST_FLOAT, 2, (const int64_t[]){1LL << 61, 4}, values, sizeof values);
    small_expect(&s, INVALID, "overflows");
    small_create(&s);
    onnx_tensor(&s.w, "w", 22, 1, (const int64_t[]){4}, values, 2);
    small_expect(&s, UNSUPPORTED, "INT4");
    small_create(&s);
    onnx_tensor(&s.w, "w", ONNX_TEST_FLOAT, 9, (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 2, 2}, values,
                sizeof values);
    small_expect(&s, UNSUPPORTED, "9 axes");
}

static void refuses_inputs_that_it_does_not_understand(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    onnx_input(&s.w, "pixel_values", ONNX_TEST_FLOAT, "batch width");
    onnx_output(&s.w, "input_ids");
    small_expect(&s, UNSUPPORTED, "input 'pixel_values' (FLOAT, 2 axes) is not understood");
    small_create(&s);
    onnx_output(&s.w, "input_ids");
    small_expect(&s, UNSUPPORTED, "the logits (the tokens) are not");
}

static void refuses_fixed_batch_and_length(void **state)
{
    (void)state;
    struct small s;
    memset(&s, 0, sizeof s);
    import_fixture_create(&s.f);
    s.w.opset = 17;
    onnx_input(&s.w, "input_ids", ONNX_TEST_INT64, "batch 128");
    onnx_output(&s.w, "input_ids");
    small_expect(&s, UNSUPPORTED, "fixed length 128: export the model with dynamic axes");
}

static void refuses_to_evaluate_giants(void **state)
{
    (void)state;
    struct small s;
    small_create(&s);
    const char *shape = onnx_const_ints(&s.w, 3, (const int64_t[]){1 << 20, 1 << 20, 1 << 20});
    node(&s, "ConstantOfShape", "logits", shape, NULL);
    onnx_output(&s.w, "logits");
    small_expect(&s, UNSUPPORTED, "too large to evaluate");
}

static void reports_files_that_are_no_models(void **state)
{
    (void)state;
    struct import_fixture f;
    struct imported_model imported;
    import_fixture_create(&f);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), NOT_FOUND, &trace, "model.onnx");
    import_write_bytes(&f, "model.onnx", "", 0);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), INVALID, &trace, "empty");
    import_write_bytes(&f, "model.onnx", "hello, world", 12);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), INVALID, &trace,
                 "not a readable ONNX file");
    import_write_bytes(&f, "model.onnx", "\x08\x08", 2);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), INVALID, &trace, "no graph");
    assert_fails(frontend_import_onnx(&imported, f.directory, NULL, &trace), INVALID, &trace,
                 "not a regular file");
    import_fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_masks_that_are_not_causal),
        cmocka_unit_test(refuses_chunks_of_positions),
        cmocka_unit_test(refuses_tiled_key_heads),
        cmocka_unit_test(refuses_rotary_tables_that_no_frequency_explains),
        cmocka_unit_test(refuses_other_rotations),
        cmocka_unit_test(refuses_operator_sets_out_of_range),
        cmocka_unit_test(names_the_operator_without_a_rule),
        cmocka_unit_test(refuses_control_flow_and_other_domains),
        cmocka_unit_test(names_what_is_left_over),
        cmocka_unit_test(refuses_norms_by_the_mean_of_another_value),
        cmocka_unit_test(refuses_statistics_of_norms),
        cmocka_unit_test(refuses_malformed_norms),
        cmocka_unit_test(refuses_other_rows_of_a_table_of_positions),
        cmocka_unit_test(refuses_shapes_that_mix_batch_and_channels),
        cmocka_unit_test(rejects_weights_that_do_not_fit),
        cmocka_unit_test(rejects_cycles_and_names_them),
        cmocka_unit_test(rejects_values_defined_twice_or_never),
        cmocka_unit_test(rejects_tensors_whose_bytes_do_not_fit_their_shape),
        cmocka_unit_test(refuses_inputs_that_it_does_not_understand),
        cmocka_unit_test(refuses_fixed_batch_and_length),
        cmocka_unit_test(refuses_to_evaluate_giants),
        cmocka_unit_test(reports_files_that_are_no_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
