/* Attention whose scores fall with the distance, through ONNX files and pruning: slopes come back as they
 * were, go with their heads, and what is no straight line is refused. */
#include "emit/emit.h"
#include "passes/pass.h"
#include "tests/emit/model.h"
#include "tests/frontend/hf_models.h"
#include "tests/support/evaluate.h"
#include "tests/support/mask.h"

struct subject {
    struct import_fixture folder;
    struct imported_model model;
    struct trace trace;
};

/* The model of models.def whose two heads have the slopes 2^-4 and 2^-8. */
static void subject_create(struct subject *s)
{
    const struct hf_model *model = hf_models;
    *s = (struct subject){0};
    while (strcmp(model->name, "bloom") != 0)
        model++;
    import_fixture_create(&s->folder);
    hf_model_write(&s->folder, model, 0);
    assert_ok(frontend_import(&s->model, s->folder.directory, NULL, &s->trace), &s->trace);
}

static void subject_release(struct subject *s)
{
    imported_model_release(&s->model);
    import_fixture_release(&s->folder);
}

static void write_onnx(struct subject *s, const struct graph *graph)
{
    struct emitted emitted = {0};
    assert_ok(emit_onnx(&emitted, s->folder.path, graph, NULL, &s->trace), &s->trace);
    emitted_release(&emitted);
}

static void expect_slopes(const struct imported_model *model, int64_t count, const float *expected)
{
    const struct tensor *slopes = import_find_tensor(model, "layers.0.slopes");
    assert_non_null(slopes);
    assert_int_equal(slopes->view.dims[0], count);
    for (int64_t i = 0; i < count; i++) {
        float found;
        tensor_view_read_f32(&slopes->view, i, 1, &found);
        assert_true(found == expected[i]);
    }
}

static void come_back_as_they_were(void **state)
{
    (void)state;
    static const float slopes[] = {0x1p-4f, 0x1p-8f};
    struct subject s;
    struct imported_model again;
    struct builder first = {0}, second = {0};
    subject_create(&s);
    expect_slopes(&s.model, 2, slopes);
    write_onnx(&s, s.model.graph);
    assert_ok(frontend_import(&again, s.folder.path, NULL, &s.trace), &s.trace);
    expect_slopes(&again, 2, slopes);
    import_text(&first, &s.model);
    import_text(&second, &again);
    assert_string_equal(builder_text(&first), builder_text(&second));
    builder_release(&first);
    builder_release(&second);
    imported_model_release(&again);
    subject_release(&s);
}

static void expect_close(const double *found, const double *expected, double most)
{
    for (int i = 0; i < HF_MODEL_TOKENS * HF_MODEL_WORDS; i++)
        if (!(fabs(found[i] - expected[i]) < most))
            fail_msg("logit %d is %.9g, expected %.9g", i, found[i], expected[i]);
}

/* Cutting a head off is the same as zeroing what it gives; the other keeps its slope. */
static void go_with_their_heads(void **state)
{
    (void)state;
    static const char *const passes[] = {"prune_kv_heads{keep=0}", "prune_kv_heads{keep=1}"};
    static const float masks[2][8] = {{1, 1, 1, 1, 0, 0, 0, 0}, {0, 0, 0, 0, 1, 1, 1, 1}},
                       slopes[2] = {0x1p-4f, 0x1p-8f};
    for (int kept = 0; kept < 2; kept++) {
        struct subject s;
        struct pass_context context = {0};
        const struct pass_call *calls;
        struct graph *cut = NULL;
        struct imported_model again;
        uint32_t count;
        subject_create(&s);
        assert_ok(pass_parse(&calls, &count, &context.arena, str_from(passes[kept]), &s.trace), &s.trace);
        assert_ok(pass_run_all(&cut, s.model.graph, calls, count, &context, &s.trace), &s.trace);
        struct mask mask = {mask_find(s.model.graph, OP_sloped_attention, 0), masks[kept]};
        struct graph *masked = mask_copy(s.model.graph, &mask, 1);
        double *found = evaluate(cut, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens),
               *expected = evaluate(masked, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
        expect_close(found, expected, 1e-12);
        write_onnx(&s, cut);
        assert_ok(frontend_import(&again, s.folder.path, NULL, &s.trace), &s.trace);
        expect_slopes(&again, 1, &slopes[kept]);
        imported_model_release(&again);
        free(found);
        free(expected);
        graph_destroy(masked);
        graph_destroy(cut);
        pass_context_release(&context);
        subject_release(&s);
    }
}

/* The operator that makes distances of positions becomes another one of three letters. */
static void rewrite_distances(struct subject *s, const char *op)
{
    static const uint8_t record[] = {0x22, 3, 'S', 'u', 'b'}; /* op_type of a node */
    size_t size;
    uint8_t *bytes = model_read_file(s->folder.directory, "model.onnx", &size), *at = NULL;
    for (size_t i = 0; i + sizeof record <= size; i++)
        if (memcmp(bytes + i, record, sizeof record) == 0) {
            assert_null(at);
            at = bytes + i;
        }
    assert_non_null(at);
    memcpy(at + 2, op, 3);
    import_write_bytes(&s->folder, "model.onnx", bytes, size);
    free(bytes);
}

static void are_straight_lines(void **state)
{
    (void)state;
    static const float slopes[] = {0x1p-4f, 0x1p-8f};
    struct subject s;
    struct imported_model again;
    subject_create(&s);
    write_onnx(&s, s.model.graph);
    rewrite_distances(&s, "Mul"); /* of each query another slope */
    assert_fails(frontend_import(&again, s.folder.path, NULL, &s.trace), UNSUPPORTED, &s.trace,
                 "(mask -0.0625)");
    s.trace = (struct trace){0};
    write_onnx(&s, s.model.graph);
    rewrite_distances(&s, "Min"); /* the key's position: the same for a softmax */
    assert_ok(frontend_import(&again, s.folder.path, NULL, &s.trace), &s.trace);
    expect_slopes(&again, 2, slopes);
    imported_model_release(&again);
    write_onnx(&s, s.model.graph);
    rewrite_distances(&s, "Max"); /* the query's: nothing that a softmax sees */
    assert_ok(frontend_import(&again, s.folder.path, NULL, &s.trace), &s.trace);
    assert_null(import_find_tensor(&again, "layers.0.slopes"));
    imported_model_release(&again);
    subject_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_back_as_they_were),
        cmocka_unit_test(go_with_their_heads),
        cmocka_unit_test(are_straight_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
