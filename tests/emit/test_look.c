/* Quantised models that are only looked at: the same graph with large weights left as they are, and a head
 * that is the embedding is found by the bytes that stand for both. */
#include "emit/emit.h"
#include "frontend/decoded.h"
#include "ir/text.h"
#include "tests/emit/model.h"
#include "tests/frontend/import.h"

enum { WORDS = 2304, HIDDEN = 32, BLOCK = 32, HALF = WORDS * HIDDEN / 2 };

static const struct model_shape shape = {2, HIDDEN, 4, 2, 8, 64, WORDS, .tied = false};
static const struct import_options look = {IMPORT_TRUSTED, IMPORT_TO_LOOK};
static struct trace trace;

enum head { HEAD_OTHER, HEAD_SAME, HEAD_NEARLY_SAME };

struct subject {
    struct import_fixture f;
    struct imported_model whole, seen;
};

static void read_both(struct subject *s, const char *path)
{
    trace = (struct trace){0};
    assert_ok(frontend_import(&s->whole, path, NULL, &trace), &trace);
    assert_ok(frontend_import(&s->seen, path, &look, &trace), &trace);
}

static void subject_release(struct subject *s)
{
    imported_model_release(&s->whole);
    imported_model_release(&s->seen);
    import_fixture_release(&s->f);
}

static float *elements_of(struct graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        if (str_is(graph->tensors.items[i].name, name))
            return (float *)(uintptr_t)graph->tensors.items[i].view.base;
    fail_msg("no weight %s", name);
    return NULL;
}

static void set_head(struct graph *graph, enum head head)
{
    float *embed = elements_of(graph, "embed"), *out = elements_of(graph, "head");
    if (head == HEAD_OTHER)
        return;
    memcpy(out, embed, sizeof *out * WORDS * HIDDEN);
    if (head == HEAD_NEARLY_SAME)
        out[HALF + 5] = out[HALF + 5] > 0 ? -1 : 1;
}

static void write_gguf(struct subject *s, const char *type, enum head head)
{
    struct emitted emitted = {0};
    struct emit_gguf_options options = {.bos = -1, .eos = -1, .type = type};
    struct graph *graph = model_create(&shape);
    *s = (struct subject){0};
    import_fixture_create(&s->f);
    char *path = path_join(s->f.directory, "model.gguf");
    set_head(graph, head);
    trace = (struct trace){0};
    assert_ok(emit_gguf(&emitted, path, graph, &options, &trace), &trace);
    emitted_release(&emitted);
    graph_destroy(graph);
    read_both(s, path);
    free(path);
}

static void expect_same_graph(const struct subject *s)
{
    struct builder whole = {0}, seen = {0};
    graph_print(s->whole.graph, TEXT_READABLE, &whole);
    graph_print(s->seen.graph, TEXT_READABLE, &seen);
    assert_string_equal(builder_text(&whole), builder_text(&seen));
    builder_release(&whole);
    builder_release(&seen);
}

static float sum_of(const struct imported_model *model, const char *name)
{
    const struct tensor *tensor = import_find_tensor(model, name);
    float sum = 0, value;
    assert_non_null(tensor);
    for (int64_t i = 0; i < tensor_view_count(&tensor->view); i += 97) {
        tensor_view_read_f32(&tensor->view, i, 1, &value);
        sum += fabsf(value);
    }
    return sum;
}

static void decode_no_large_weight(void **state)
{
    (void)state;
    struct subject s;
    write_gguf(&s, "q8_0", HEAD_OTHER);
    expect_same_graph(&s);
    assert_int_equal(s.seen.undecoded.count, 2);
    assert_int_equal(s.whole.undecoded.count, 0);
    assert_true(import_has_note(&s.whole, "weights stored as q8_0 were decoded to f32"));
    assert_true(import_has_note(&s.seen, "weights stored as q8_0 would be decoded to f32"));
    assert_true(sum_of(&s.whole, "embed") > 0 && sum_of(&s.seen, "embed") == 0);
    assert_true(sum_of(&s.seen, "layers.0.up") == sum_of(&s.whole, "layers.0.up")); /* small ones are there */
    subject_release(&s);
    write_gguf(&s, "f16", HEAD_OTHER);
    assert_int_equal(s.seen.undecoded.count, 0);
    subject_release(&s);
}

static void find_the_head_in_the_bytes(void **state)
{
    (void)state;
    for (enum head head = HEAD_OTHER; head <= HEAD_NEARLY_SAME; head++) {
        struct subject s;
        write_gguf(&s, "q8_0", head);
        expect_same_graph(&s);
        assert_int_equal(import_find_tensor(&s.seen, "head") == NULL, head == HEAD_SAME);
        subject_release(&s);
    }
}

/* ---- ONNX ---- */

static uint8_t bytes[WORDS * HIDDEN], others[WORDS * HIDDEN];
static float scales[WORDS], other_scales[WORDS];

/* A table of 4 or 8 bits and a head of the same form, one block a row. */
static void write_blocks(struct subject *s, int64_t bits, const uint8_t *head, const float *head_scales)
{
    struct onnx_writer w = {.opset = 21, .node_prefix = "/"};
    struct builder file = {0};
    int64_t row = HIDDEN * bits / 8;
    const int64_t dims[] = {WORDS, row}, blocks[] = {WORDS, 1, row}, each[] = {WORDS, 1}, all = WORDS;
    *s = (struct subject){0};
    import_fixture_create(&s->f);
    onnx_input(&w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    onnx_tensor(&w, "table", 2, 2, dims, bytes, (size_t)(WORDS * row));
    onnx_tensor(&w, "scales", ONNX_TEST_FLOAT, 2, each, scales, sizeof scales);
    onnx_tensor(&w, "head", 2, 3, blocks, head, (size_t)(WORDS * row));
    onnx_tensor(&w, "head_scales", ONNX_TEST_FLOAT, 1, &all, head_scales, sizeof scales);
    w.domain = "com.microsoft";
    onnx_attribute_int(&w, "bits", bits);
    onnx_attribute_int(&w, "block_size", BLOCK);
    const char *x = onnx_op(&w, "GatherBlockQuantized", "table", "input_ids", "scales", NULL);
    w.domain = "com.microsoft";
    onnx_attribute_int(&w, "K", HIDDEN);
    onnx_attribute_int(&w, "N", WORDS);
    onnx_attribute_int(&w, "bits", bits);
    onnx_attribute_int(&w, "block_size", BLOCK);
    onnx_output(&w, onnx_op(&w, "MatMulNBits", x, "head", "head_scales", NULL));
    onnx_finish(&w, &file);
    import_write_bytes(&s->f, "model.onnx", file.data, file.length);
    onnx_writer_release(&w);
    builder_release(&file);
    read_both(s, s->f.path);
}

/* int8 weights with a scale each row: a table that is gathered, and a head [in, out] or, turned, [out, in].
 */
static void write_linear(struct subject *s, bool is_shared)
{
    struct onnx_writer w = {.opset = 21, .node_prefix = "/"};
    struct builder file = {0};
    const int64_t dims[] = {WORDS, HIDDEN}, all = WORDS, order[] = {1, 0};
    *s = (struct subject){0};
    import_fixture_create(&s->f);
    onnx_input(&w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    onnx_tensor(&w, "table", 3, 2, dims, bytes, sizeof bytes);
    onnx_tensor(&w, "head", 3, 2, dims, is_shared ? bytes : others, sizeof bytes);
    onnx_tensor(&w, "scales", ONNX_TEST_FLOAT, 1, &all, scales, sizeof scales);
    onnx_attribute_int(&w, "axis", 0);
    const char *table = onnx_op(&w, "DequantizeLinear", "table", "scales", NULL);
    const char *x = onnx_op(&w, "Gather", table, "input_ids", NULL);
    onnx_attribute_int(&w, "axis", 0);
    const char *head = onnx_op(&w, "DequantizeLinear", "head", "scales", NULL);
    onnx_attribute_ints(&w, "perm", 2, order);
    onnx_output(&w, onnx_op(&w, "MatMul", x, onnx_op(&w, "Transpose", head, NULL), NULL));
    onnx_finish(&w, &file);
    import_write_bytes(&s->f, "model.onnx", file.data, file.length);
    onnx_writer_release(&w);
    builder_release(&file);
    read_both(s, s->f.path);
}

static void expect_tied(struct subject *s, bool is_tied)
{
    expect_same_graph(s);
    assert_int_equal(s->seen.undecoded.count, 2);
    assert_int_equal(s->whole.undecoded.count, 0);
    assert_true(sum_of(&s->seen, "embed") == 0 && sum_of(&s->whole, "embed") > 0);
    assert_int_equal(import_find_tensor(&s->seen, "head") == NULL, is_tied);
    assert_true(import_has_note(&s->seen, "would be decoded to f32"));
    subject_release(s);
}

static void go_for_blocks_of_onnx_files_too(void **state)
{
    (void)state;
    struct subject s;
    for (int64_t i = 0; i < WORDS * HIDDEN; i++)
        bytes[i] = others[i] = (uint8_t)(i * 73 + i / HIDDEN * 29 + 5);
    for (int64_t i = 0; i < WORDS; i++)
        scales[i] = other_scales[i] = 0.25f + 0.125f * (float)(i % 5);
    others[HALF / 2] ^= 1; /* within the first half, which is what elements of 4 bits take */
    other_scales[WORDS / 2] = 0.0625f;
    for (int64_t bits = 4; bits <= 8; bits += 4) {
        write_blocks(&s, bits, bytes, scales);
        expect_tied(&s, true);
        write_blocks(&s, bits, others, scales);
        expect_tied(&s, false);
        write_blocks(&s, bits, bytes, other_scales);
        expect_tied(&s, false);
    }
    write_linear(&s, true);
    expect_tied(&s, true);
    write_linear(&s, false);
    expect_tied(&s, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_no_large_weight),
        cmocka_unit_test(find_the_head_in_the_bytes),
        cmocka_unit_test(go_for_blocks_of_onnx_files_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
