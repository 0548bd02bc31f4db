/* ONNX files: read back by the importer, and looked at field by field by a small reader of their own here. */
#include "emit/emit.h"
#include "emit/onnx_file.h"
#include "frontend/frontend.h"
#include "ir/text.h"
#include "tests/emit/model.h"
#include <sys/stat.h>

static const struct model_shape grouped = {2, 24, 4, 2, 6, 43, 50, .tied = false};

struct fixture {
    char *directory;
    char path[4096];
    struct trace trace;
    struct emitted emitted;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->directory = test_directory_create();
    snprintf(f->path, sizeof f->path, "%s/model.onnx", f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    emitted_release(&f->emitted);
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

/* ---- reading back ---- */

static void assert_same_weights(const struct graph *a, const struct graph *b)
{
    assert_int_equal(a->tensors.count, b->tensors.count);
    for (uint32_t i = 0; i < a->tensors.count; i++) {
        const struct tensor_view *x = &a->tensors.items[i].view, *y = &b->tensors.items[i].view;
        int64_t count = tensor_view_count(x);
        assert_int_equal(count, tensor_view_count(y));
        float *u = calloc((size_t)count, sizeof *u), *v = calloc((size_t)count, sizeof *v);
        tensor_view_read_f32(x, 0, count, u);
        tensor_view_read_f32(y, 0, count, v);
        assert_memory_equal(u, v, (size_t)count * sizeof *u);
        free(u);
        free(v);
    }
}

static void assert_reads_back(struct fixture *f, const struct graph *graph)
{
    struct imported_model model = {0};
    assert_ok(frontend_import_onnx(&model, f->path, &(struct import_options){0}, &f->trace), &f->trace);
    struct graph *a = graph_canonicalise(graph), *b = graph_canonicalise(model.graph);
    struct builder x = {0}, y = {0};
    graph_print(a, TEXT_CANONICAL, &x);
    graph_print(b, TEXT_CANONICAL, &y);
    assert_string_equal(builder_text(&x), builder_text(&y));
    assert_same_weights(a, b);
    builder_release(&x);
    builder_release(&y);
    graph_destroy(a);
    graph_destroy(b);
    imported_model_release(&model);
}

static void round_trip(struct fixture *f, const struct model_shape *shape)
{
    struct graph *graph = model_create(shape);
    assert_ok(emit_onnx_check(graph, NULL, &f->trace), &f->trace);
    assert_ok(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), &f->trace);
    assert_reads_back(f, graph);
    graph_destroy(graph);
}

static void grouped_queries_read_back(void **state)
{
    round_trip(*state, &grouped);
}

static void one_query_head_a_group_reads_back(void **state)
{
    const struct model_shape shape = {1, 18, 3, 3, 4, 7, 33, .scale = 0.75f};
    round_trip(*state, &shape);
}

static void tied_model_with_one_group_reads_back(void **state)
{
    const struct model_shape shape = {3, 25, 4, 1, 8, 21, 64, .tied = true, .theta = 500000};
    round_trip(*state, &shape);
}

static void biases_and_layers_of_different_sizes_read_back(void **state)
{
    const struct model_shape shape = {2, 24, 4, 2, 6, 43, 50, .biased = true, .last_ffn = 11};
    round_trip(*state, &shape);
}

/* ---- other families ---- */

static uint32_t layer_norm(struct graph *g, uint32_t x, const char *name, int64_t size)
{
    uint32_t inputs[2] = {x, model_weight(g, name, DTYPE_F32, size, 0)};
    uint32_t y = build_op(g, OP_layernorm, inputs, &(struct build_attributes){.epsilon = 1e-3f});
    return build_binary(g, OP_add, y, model_weight(g, "norm_bias", DTYPE_F32, size, 0));
}

static uint32_t biased(struct graph *g, uint32_t x, const char *name, int64_t out, int64_t in)
{
    uint32_t y = build_binary(g, OP_matmul_nt, x, model_weight(g, name, DTYPE_F32, out, in));
    return build_binary(g, OP_add, y, model_weight(g, "bias", DTYPE_F32, out, 0));
}

static uint32_t normed_heads(struct graph *g, uint32_t x, const char *name, int64_t heads, int64_t size)
{
    uint32_t inputs[2] = {x, model_weight(g, name, DTYPE_F32, size, 0)};
    return build_op(g, OP_head_rmsnorm, inputs, &(struct build_attributes){.heads = heads, .epsilon = 1e-6f});
}

/* Learned positions, layer norms with biases, norms of heads, a rotation of the first `turned` channels of 6,
 * and an activation. */
static struct graph *other_model(enum op activation, bool is_squared, int64_t turned, int64_t window,
                                 float softcap)
{
    struct graph *g = graph_create();
    uint32_t axes[2] = {dims_symbol(&g->dims, STR("batch")), dims_symbol(&g->dims, STR("sequence"))};
    uint32_t tokens = build_input(g, "tokens", DTYPE_I32, 2, axes);
    uint32_t embedding = model_weight(g, "embed", DTYPE_F32, 50, 20);
    uint32_t first[2] = {build_binary(g, OP_embed, embedding, tokens),
                         model_weight(g, "wpe", DTYPE_F32, 40, 20)};
    uint32_t x = build_op(g, OP_add_positions, first, &(struct build_attributes){.start = 2});
    uint32_t n = layer_norm(g, x, "norm0", 20), q = biased(g, n, "q", 24, 20), k = biased(g, n, "k", 12, 20);
    q = normed_heads(g, q, "q_norm", 4, 6);
    if (turned > 0) {
        const struct model_shape shape = {.head_size = turned};
        uint32_t table = build_binary(g, OP_rotary_table, tokens, model_frequencies(g, &shape));
        uint32_t of_q[2] = {q, table}, of_k[2] = {k, table};
        q = build_op(g, OP_rope_part, of_q, &(struct build_attributes){.heads = 4});
        k = build_op(g, OP_rope_part, of_k, &(struct build_attributes){.heads = 2});
    }
    uint32_t in[3] = {q, k, biased(g, n, "v", 12, 20)};
    uint32_t y = build_op(
        g, OP_attention, in,
        &(struct build_attributes){
            .heads = 4, .kv_heads = 2, .causal = 1, .scale = 0.5f, .window = window, .softcap = softcap});
    x = build_binary(g, OP_add, x, biased(g, y, "o", 20, 24));
    uint32_t h = build_unary(g, activation, biased(g, layer_norm(g, x, "norm1", 20), "up", 33, 20));
    h = is_squared ? build_binary(g, OP_mul, h, h) : h;
    x = build_binary(g, OP_add, x, biased(g, h, "down", 20, 33));
    build_output(g, "logits", build_binary(g, OP_matmul_nt, layer_norm(g, x, "norm", 20), embedding));
    return g;
}

static void models_of_other_families_read_back(void **state)
{
    struct fixture *f = *state;
    static const enum op activations[] = {OP_gelu_tanh, OP_gelu, OP_relu, OP_silu};
    for (int i = 0; i < 4; i++) {
        struct graph *graph = other_model(activations[i], activations[i] == OP_relu, i % 2 ? 4 : 0, i * 7,
                                          i > 1 ? 0.75f * (float)i : 0);
        assert_ok(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), &f->trace);
        assert_reads_back(f, graph);
        graph_destroy(graph);
    }
}

/* ---- an independent reader ---- */

struct field {
    uint32_t number, type;
    uint64_t value;       /* of a varint, or the length of what follows */
    const uint8_t *bytes; /* of a length-delimited field */
};

static uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(*at < end && shift < 64);
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
}

static bool next_field(const uint8_t **at, const uint8_t *end, struct field *out)
{
    if (*at == end)
        return false;
    uint64_t tag = read_varint(at, end);
    *out = (struct field){.number = (uint32_t)(tag >> 3), .type = tag & 7};
    assert_true(out->type == 0 || out->type == 2);
    out->value = read_varint(at, end);
    if (out->type == 2) {
        assert_true(out->value <= (uint64_t)(end - *at));
        out->bytes = *at;
        *at += out->value;
    }
    return true;
}

/* The first field of that number in a message. */
static struct field find_field(const uint8_t *bytes, uint64_t length, uint32_t number)
{
    struct field field;
    for (const uint8_t *at = bytes; next_field(&at, bytes + length, &field);)
        if (field.number == number)
            return field;
    fail_msg("no field %u", number);
    return (struct field){0};
}

static bool field_is(struct field field, const char *text)
{
    return field.type == 2 && field.value == strlen(text) && memcmp(field.bytes, text, field.value) == 0;
}

/* The external_data entry of a TensorProto. */
static uint64_t external_number(struct field tensor, const char *key)
{
    struct field entry;
    for (const uint8_t *at = tensor.bytes; next_field(&at, tensor.bytes + tensor.value, &entry);) {
        if (entry.number != 13 || !field_is(find_field(entry.bytes, entry.value, 1), key))
            continue;
        char text[32] = "";
        struct field value = find_field(entry.bytes, entry.value, 2);
        assert_true(value.value < sizeof text);
        memcpy(text, value.bytes, value.value);
        return strtoull(text, NULL, 10);
    }
    fail_msg("no %s", key);
    return 0;
}

static bool has_field(struct field message, uint32_t number)
{
    struct field field;
    for (const uint8_t *at = message.bytes; next_field(&at, message.bytes + message.value, &field);)
        if (field.number == number)
            return true;
    return false;
}

static void says_ir_version_opset_and_interface(void **state)
{
    struct fixture *f = *state;
    size_t size;
    struct graph *graph = model_create(&grouped);
    assert_ok(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), &f->trace);
    uint8_t *bytes = model_read_file(f->directory, "model.onnx", &size);
    assert_int_equal(find_field(bytes, size, 1).value, 8);
    struct field opset = find_field(bytes, size, 8), model = find_field(bytes, size, 7);
    assert_true(field_is(find_field(opset.bytes, opset.value, 1), ""));
    assert_int_equal(find_field(opset.bytes, opset.value, 2).value, 17);
    struct field input = find_field(model.bytes, model.value, 11);
    struct field output = find_field(model.bytes, model.value, 12);
    assert_true(field_is(find_field(input.bytes, input.value, 1), "input_ids"));
    assert_true(field_is(find_field(output.bytes, output.value, 1), "logits"));
    struct field type = find_field(input.bytes, input.value, 2);
    struct field tensor = find_field(type.bytes, type.value, 1);
    assert_int_equal(find_field(tensor.bytes, tensor.value, 1).value, 7);
    free(bytes);
    graph_destroy(graph);
}

/* Every node's inputs are the graph's input, initializers or results of earlier nodes; no name twice. */
static void names_are_defined_once_and_before_use(void **state)
{
    struct fixture *f = *state;
    size_t size;
    const struct model_shape shape = {2, 24, 4, 2, 6, 43, 50, .tied = true, .biased = true};
    struct graph *graph = model_create(&shape);
    for (uint32_t i = 0; i < graph->tensors.count; i++) /* names that get in the way */
        graph->tensors.items[i].name = i % 3 ? STR("logits") : STR("caf\xc3\xa9 \n");
    assert_ok(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), &f->trace);
    uint8_t *bytes = model_read_file(f->directory, "model.onnx", &size);
    struct field model = find_field(bytes, size, 7), field, part;
    struct arena arena = {0};
    struct map known = {0};
    map_add_text(&known, &arena, STR("input_ids"), 0);
    for (const uint8_t *at = model.bytes; next_field(&at, model.bytes + model.value, &field);) {
        if (field.number != 5)
            continue;
        struct field name = find_field(field.bytes, field.value, 8);
        assert_true(map_add_text(&known, &arena, (struct str){(const char *)name.bytes, name.value}, 0));
    }
    for (const uint8_t *at = model.bytes; next_field(&at, model.bytes + model.value, &field);)
        for (const uint8_t *in = field.bytes;
             field.number == 1 && next_field(&in, field.bytes + field.value, &part);) {
            struct str name = {(const char *)part.bytes, part.value};
            if (part.number == 1)
                assert_true(map_find_text(&known, name, NULL));
            if (part.number == 2)
                assert_true(map_add_text(&known, &arena, name, 0));
        }
    assert_true(map_find_text(&known, STR("logits"), NULL));
    arena_release(&arena);
    free(bytes);
    assert_reads_back(f, graph);
    graph_destroy(graph);
}

static void large_weights_go_to_aligned_places_beside_the_model(void **state)
{
    struct fixture *f = *state;
    size_t size, data_size;
    struct graph *graph = model_create(&grouped);
    const struct onnx_limits limits = {1000, 128};
    assert_ok(onnx_file_write(&f->emitted, f->path, graph, NULL, &limits, &f->trace), &f->trace);
    assert_int_equal(f->emitted.files.count, 2);
    assert_string_equal(f->emitted.files.items[0].name, "model.onnx");
    assert_string_equal(f->emitted.files.items[1].name, "model.onnx.data");
    uint8_t *bytes = model_read_file(f->directory, "model.onnx", &size);
    uint8_t *data = model_read_file(f->directory, "model.onnx.data", &data_size);
    assert_int_equal(f->emitted.files.items[1].bytes, data_size);
    struct field model = find_field(bytes, size, 7), field;
    uint64_t end = 0, outside = 0;
    for (const uint8_t *at = model.bytes; next_field(&at, model.bytes + model.value, &field);) {
        if (field.number != 5 || has_field(field, 9))
            continue;
        assert_int_equal(find_field(field.bytes, field.value, 14).value, 1);
        uint64_t offset = external_number(field, "offset"), length = external_number(field, "length");
        assert_int_equal(offset % 4096, 0);
        assert_true(offset >= end && length >= limits.small_bytes);
        end = offset + length;
        outside++;
    }
    assert_int_equal(end, data_size);
    assert_true(outside > 10);
    free(bytes);
    free(data);
    assert_reads_back(f, graph);
    graph_destroy(graph);
}

/* What the source said of itself stands in the fields and properties again; the importer reads them. */
static void metadata_is_said_again(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"license", METADATA_DOCUMENTATION, METADATA_DOMAIN, METADATA_VERSION},
                             *const texts[] = {"MIT", "A toy.", "org.example", "12"};
    struct graph *graph = model_create(&grouped);
    struct imported_model model = {0};
    size_t size;
    for (int i = 0; i < 4; i++)
        metadata_add(&graph->metadata, &graph->arena, str_from(keys[i]), str_from(texts[i]));
    assert_ok(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), &f->trace);
    assert_int_equal(f->emitted.notes.count, 0);
    uint8_t *bytes = model_read_file(f->directory, "model.onnx", &size);
    struct field property = find_field(bytes, size, 14);
    assert_true(field_is(find_field(bytes, size, 4), "org.example"));
    assert_int_equal(find_field(bytes, size, 5).value, 12);
    assert_true(field_is(find_field(bytes, size, 6), "A toy."));
    assert_true(field_is(find_field(property.bytes, property.value, 1), "license"));
    assert_true(field_is(find_field(property.bytes, property.value, 2), "MIT"));
    free(bytes);
    assert_ok(frontend_import_onnx(&model, f->path, &(struct import_options){0}, &f->trace), &f->trace);
    for (int i = 0; i < 4; i++)
        assert_true(str_is(metadata_find(&model.graph->metadata, keys[i]), texts[i]));
    imported_model_release(&model);
    graph_destroy(graph);
}

static void narrow_weights_are_widened(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.storage = DTYPE_BF16;
    struct graph *graph = model_create(&shape);
    assert_ok(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), &f->trace);
    struct imported_model model = {0};
    assert_ok(frontend_import_onnx(&model, f->path, &(struct import_options){0}, &f->trace), &f->trace);
    struct graph *a = graph_canonicalise(graph), *b = graph_canonicalise(model.graph);
    assert_int_equal(b->tensors.items[2].view.dtype, DTYPE_F32);
    assert_same_weights(a, b);
    graph_destroy(a);
    graph_destroy(b);
    imported_model_release(&model);
    graph_destroy(graph);
}

static void writing_twice_gives_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    struct graph *graph = model_create(&grouped), *again = model_create(&grouped);
    assert_ok(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), &f->trace);
    assert_ok(emit_onnx(&f->emitted, f->path, again, NULL, &f->trace), &f->trace);
    assert_string_equal(f->emitted.files.items[0].sha256, f->emitted.files.items[1].sha256);
    char command[8300], expected[128];
    snprintf(command, sizeof command, "sha256sum '%s'", f->path);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(expected, sizeof expected, pipe));
    pclose(pipe);
    assert_memory_equal(expected, f->emitted.files.items[0].sha256, 64);
    graph_destroy(graph);
    graph_destroy(again);
}

/* ---- refusals ---- */

static void op_without_onnx_form_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct graph *graph = model_create(&grouped);
    uint32_t logits = graph_find_output(graph, "logits");
    graph->outputs.items[0].value = build_binary(graph, OP_silu_grad, logits, logits);
    assert_fails(emit_onnx_check(graph, NULL, &f->trace), UNSUPPORTED, &f->trace, "silu_grad");
    assert_fails(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), UNSUPPORTED, &f->trace,
                 "silu_grad");
    assert_false(file_exists(f->path));
    graph_destroy(graph);
}

static void second_input_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct graph *graph = model_create(&grouped);
    uint32_t axes[2] = {dims_symbol(&graph->dims, STR("batch")), dims_symbol(&graph->dims, STR("sequence"))};
    build_input(graph, "labels", DTYPE_I32, 2, axes);
    assert_fails(emit_onnx_check(graph, NULL, &f->trace), UNSUPPORTED, &f->trace, "labels");
    graph_destroy(graph);
}

static void weight_without_content_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct graph *graph = model_create(&grouped);
    graph->tensors.items[5].view.base = NULL;
    assert_ok(emit_onnx_check(graph, NULL, &f->trace), &f->trace);
    assert_fails(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), INVALID, &f->trace, "no content");
    assert_int_equal(rmdir(f->directory), 0); /* empty: no file, no temporary */
    graph_destroy(graph);
}

static void a_path_through_a_file_is_the_users_mistake(void **state)
{
    struct fixture *f = *state;
    struct graph *graph = model_create(&grouped);
    char path[5000];
    assert_ok(file_write(f->path, "old", 3, &f->trace), &f->trace);
    snprintf(path, sizeof path, "%s/below.onnx", f->path);
    assert_fails(emit_onnx(&f->emitted, path, graph, NULL, &f->trace), INVALID, &f->trace, "below.onnx");
    snprintf(path, sizeof path, "%s/absent/model.onnx", f->directory);
    assert_fails(emit_onnx(&f->emitted, path, graph, NULL, &f->trace), NOT_FOUND, &f->trace, "absent");
    graph_destroy(graph);
}

static void read_only_directory_keeps_what_it_has(void **state)
{
    struct fixture *f = *state;
    if (geteuid() == 0) /* nothing is read-only for root */
        skip();
    struct graph *graph = model_create(&grouped);
    assert_ok(file_write(f->path, "old", 3, &f->trace), &f->trace);
    chmod(f->directory, 0555);
    assert_fails(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), IO, &f->trace, "model.onnx");
    chmod(f->directory, 0755);
    size_t size;
    uint8_t *bytes = model_read_file(f->directory, "model.onnx", &size);
    assert_int_equal(size, 3);
    free(bytes);
    graph_destroy(graph);
}

static void failure_keeps_an_existing_file(void **state)
{
    struct fixture *f = *state;
    struct graph *graph = model_create(&grouped);
    graph->tensors.items[5].view.base = NULL;
    assert_ok(file_write(f->path, "old", 3, &f->trace), &f->trace);
    assert_fails(emit_onnx(&f->emitted, f->path, graph, NULL, &f->trace), INVALID, &f->trace, "layers.0.v");
    size_t size;
    uint8_t *bytes = model_read_file(f->directory, "model.onnx", &size);
    assert_string_equal((char *)bytes, "old");
    assert_int_equal(f->emitted.files.count, 0);
    free(bytes);
    graph_destroy(graph);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(grouped_queries_read_back),
        TEST(one_query_head_a_group_reads_back),
        TEST(models_of_other_families_read_back),
        TEST(tied_model_with_one_group_reads_back),
        TEST(biases_and_layers_of_different_sizes_read_back),
        TEST(says_ir_version_opset_and_interface),
        TEST(names_are_defined_once_and_before_use),
        TEST(large_weights_go_to_aligned_places_beside_the_model),
        TEST(metadata_is_said_again),
        TEST(narrow_weights_are_widened),
        TEST(writing_twice_gives_the_same_bytes),
        TEST(op_without_onnx_form_is_refused_by_name),
        TEST(second_input_is_refused_by_name),
        TEST(weight_without_content_leaves_nothing_behind),
        TEST(a_path_through_a_file_is_the_users_mistake),
        TEST(read_only_directory_keeps_what_it_has),
        TEST(failure_keeps_an_existing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
