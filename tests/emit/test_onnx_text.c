/* Text goldens of what is written as ONNX: golden/onnx/NAME.txt has the versions, inputs, outputs and nodes
 * of a file; weights and constants are left out, whose names tell what they are. With GOLDEN=update in the
 * environment the files are written instead of compared. */
#include "emit/emit.h"
#include "frontend/onnx_node.h"
#include "tests/emit/onnx_run.h"
#include "tests/frontend/hf_models.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_place(struct builder *out, const char *what, const Onnx__ValueInfoProto *info)
{
    const Onnx__TensorTypeProto *type = info->type->tensor_type;
    builder_printf(out, "%s %s %s [", what, info->name, onnx_type_name(type->elem_type));
    for (size_t i = 0; i < type->shape->n_dim; i++) {
        const Onnx__TensorShapeDimension *dim = type->shape->dim[i];
        builder_add_text(out, i > 0 ? ", " : "");
        if (dim->has_dim_value)
            builder_printf(out, "%" PRId64, dim->dim_value);
        else
            builder_add_text(out, dim->dim_param);
    }
    builder_add_text(out, "]\n");
}

static void print_attribute(struct builder *out, const Onnx__AttributeProto *a)
{
    builder_printf(out, " %s=", a->name);
    if (a->has_f)
        builder_printf(out, "%.9g", (double)a->f);
    else if (a->has_i)
        builder_printf(out, "%" PRId64, a->i);
    for (size_t i = 0; i < a->n_ints; i++)
        builder_printf(out, "%s%" PRId64, i > 0 ? "," : "", a->ints[i]);
}

static void print_node(struct builder *out, const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_output; i++)
        builder_printf(out, "%s%s", i > 0 ? ", " : "", node->output[i]);
    builder_printf(out, " = %s", node->op_type);
    for (size_t i = 0; i < node->n_input; i++)
        builder_printf(out, " %s", *node->input[i] ? node->input[i] : "-");
    for (size_t i = 0; i < node->n_attribute; i++)
        print_attribute(out, node->attribute[i]);
    builder_add_text(out, "\n");
}

static void print_file(struct builder *out, const char *path)
{
    struct onnx_run run;
    onnx_run_open(&run, path);
    const Onnx__ModelProto *model = run.file.proto;
    const Onnx__GraphProto *graph = model->graph;
    builder_printf(out, "ir %" PRId64 " opset %" PRId64 "\n", model->ir_version,
                   model->opset_import[0]->version);
    for (size_t i = 0; i < graph->n_input; i++)
        print_place(out, "input", graph->input[i]);
    for (size_t i = 0; i < graph->n_node; i++)
        print_node(out, graph->node[i]);
    for (size_t i = 0; i < graph->n_output; i++)
        print_place(out, "output", graph->output[i]);
    onnx_run_close(&run);
}

static bool is_as_committed(const char *path, const struct builder *text)
{
    const char *update = getenv("GOLDEN");
    static char committed[1 << 16];
    FILE *file = fopen(path, update ? "wb" : "rb");
    size_t size = 0;
    if (file && update)
        size = fwrite(text->data, 1, text->length, file);
    else if (file)
        size = fread(committed, 1, sizeof committed - 1, file);
    if (file)
        fclose(file);
    bool same = size == text->length && (update || memcmp(committed, text->data, size) == 0);
    if (!same)
        print_error("%s: got\n%.*s", path, (int)text->length, text->data);
    return same;
}

static bool check(const char *name, const char *golden, const struct emit_onnx_options *options)
{
    const struct hf_model *model = hf_models;
    struct import_fixture f;
    struct imported_model imported;
    struct emitted emitted = {0};
    struct builder text = {0};
    struct trace trace = {0};
    char path[256];
    while (strcmp(model->name, name) != 0)
        model++;
    import_fixture_create(&f);
    hf_model_write(&f, model, 0);
    assert_ok(frontend_import(&imported, f.directory, NULL, &trace), &trace);
    assert_ok(emit_onnx(&emitted, f.path, imported.graph, options, &trace), &trace);
    print_file(&text, f.path);
    snprintf(path, sizeof path, "golden/onnx/%s.txt", golden);
    bool same = is_as_committed(path, &text);
    builder_release(&text);
    emitted_release(&emitted);
    imported_model_release(&imported);
    import_fixture_release(&f);
    return same;
}

static void files_are_as_committed(void **state)
{
    (void)state;
    static const struct {
        const char *name, *golden;
        struct emit_onnx_options options;
    } cases[] = {
        {"llama", "llama-tokens", {false, EMIT_INTERFACE_TOKENS}},
        {"llama", "llama-cache", {false, EMIT_INTERFACE_CACHE}},
        {"llama", "llama-fused", {true, EMIT_INTERFACE_TOKENS}},
        {"llama", "llama-fused-cache", {true, EMIT_INTERFACE_CACHE}},
        {"gemma2", "gemma2-cache", {true, EMIT_INTERFACE_CACHE}},
        {"bloom", "bloom-fused-cache", {true, EMIT_INTERFACE_CACHE}},
        {"gpt2", "gpt2-cache", {false, EMIT_INTERFACE_CACHE}},
    };
    uint32_t different = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        different += !check(cases[i].name, cases[i].golden, &cases[i].options);
    assert_int_equal(different, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_are_as_committed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
