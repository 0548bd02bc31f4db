/* GGUF files that are written are read again as the same graph, with the same weights where nothing is
 * rounded, and with the tokenizer. */
#include "emit/emit.h"
#include "tests/emit/model.h"
#include "tests/frontend/hf_models.h"
#include "tests/support/evaluate.h"
#include <jansson.h>
#include <math.h>

static struct trace trace;
enum { GGUF_MODELS = 19 }; /* of hf_models; the others are refused for good reasons (test_hf_forms.c) */

struct written {
    struct import_fixture f;
    struct imported_model first, second;
};

static void write_and_read(struct written *w, const char *type, const char *tokenizer)
{
    struct emitted emitted = {0};
    *w = (struct written){0};
    import_fixture_create(&w->f);
    assert_string_equal(hf_models[0].name, "llama");
    hf_model_write(&w->f, &hf_models[0], 0);
    assert_ok(frontend_import(&w->first, w->f.directory, NULL, &trace), &trace);
    char *path = path_join(w->f.directory, "model.gguf");
    struct emit_gguf_options options = {
        .bos = 0, .eos = -1, .puts_bos = true, .type = type, .tokenizer_json = str_from(tokenizer)};
    assert_ok(emit_gguf(&emitted, path, w->first.graph, &options, &trace), &trace);
    assert_ok(frontend_import(&w->second, path, NULL, &trace), &trace);
    emitted_release(&emitted);
    free(path);
}

static void written_release(struct written *w)
{
    imported_model_release(&w->first);
    imported_model_release(&w->second);
    import_fixture_release(&w->f);
}

/* Texts under general.* but for those that say how the file is made, or how large the model is; the rest is
 * named. */
static void metadata_comes_back(void **state)
{
    (void)state;
    struct written w;
    struct emitted emitted = {0};
    write_and_read(&w, "f32", "");
    struct graph *g = w.first.graph;
    metadata_add(&g->metadata, &g->arena, STR("general.name"), STR("Toy"));
    metadata_add(&g->metadata, &g->arena, STR("general.architecture"), STR("bert"));
    metadata_add(&g->metadata, &g->arena, STR("general.size_label"), STR("8B"));
    metadata_add(&g->metadata, &g->arena, STR("license"), STR("MIT"));
    metadata_add(&g->metadata, &g->arena, STR("general.size_LABEL"), STR("7B"));
    char *path = path_join(w.f.directory, "model.gguf");
    imported_model_release(&w.second);
    assert_ok(emit_gguf(&emitted, path, g, &(struct emit_gguf_options){.bos = -1, .eos = -1}, &trace),
              &trace);
    size_t size;
    uint8_t *bytes = model_read_file(w.f.directory, "model.gguf", &size);
    uint8_t *size_label = memmem(bytes, size, "general.size_LABEL", 18);
    assert_non_null(size_label);
    memcpy(size_label, "general.size_label", 18);
    assert_ok(file_write(path, (char *)bytes, size, &trace), &trace);
    free(bytes);
    assert_ok(frontend_import(&w.second, path, NULL, &trace), &trace);
    assert_int_equal(emitted.notes.count, 1);
    assert_true(str_is(emitted.notes.items[0],
                       "metadata left out: general.architecture, general.size_label, license"));
    assert_int_equal(w.second.graph->metadata.entries.count, 1);
    assert_true(str_is(metadata_find(&w.second.graph->metadata, "general.name"), "Toy"));
    assert_true(import_has_note(&w.second, "metadata dropped: general.size_label"));
    emitted_release(&emitted);
    free(path);
    written_release(&w);
}

static void floats_come_back_as_they_were(void **state)
{
    (void)state;
    struct written w;
    struct builder first = {0}, second = {0};
    write_and_read(&w, "f32", "");
    import_text(&first, &w.first);
    import_text(&second, &w.second);
    assert_string_equal(builder_text(&first), builder_text(&second));
    builder_release(&first);
    builder_release(&second);
    written_release(&w);
}

/* What the transformers library computes of each model, computed of the GGUF file that is made of it. */
static void all_architectures_come_back(void **state)
{
    (void)state;
    uint32_t written = 0;
    for (size_t i = 0; i < hf_model_count; i++) {
        struct import_fixture f;
        struct imported_model first, second;
        struct emitted emitted = {0};
        static const struct emit_gguf_options options = {.bos = -1, .eos = -1};
        import_fixture_create(&f);
        hf_model_write(&f, &hf_models[i], 0);
        assert_ok(frontend_import(&first, f.directory, NULL, &trace), &trace);
        struct trace refusal = {0};
        if (emit_gguf_check(first.graph, EMIT_REFUSES_MISSING, &refusal) == OK) {
            char *path = path_join(f.directory, "model.gguf");
            written++;
            assert_ok(emit_gguf(&emitted, path, first.graph, &options, &trace), &trace);
            assert_ok(frontend_import(&second, path, NULL, &trace), &trace);
            double *logits = evaluate(second.graph, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
            const double *last = logits + (HF_MODEL_TOKENS - 1) * HF_MODEL_WORDS;
            for (int64_t k = 0; k < HF_MODEL_WORDS; k++)
                if (!(fabs(last[k] - hf_models[i].logits[k]) < 2e-6))
                    fail_msg("%s: logit %d is %.9g, expected %.9g", hf_models[i].name, (int)k, last[k],
                             hf_models[i].logits[k]);
            free(logits), free(path);
            imported_model_release(&second);
            emitted_release(&emitted);
        }
        imported_model_release(&first);
        import_fixture_release(&f);
    }
    assert_int_equal(written, GGUF_MODELS);
}

static void smaller_types_come_back_rounded(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        double most;
    } cases[] = {{"f16", 2e-3}, {"bf16", 2e-2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct written w;
        write_and_read(&w, cases[i].type, "");
        double *a = evaluate(w.first.graph, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
        double *b = evaluate(w.second.graph, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens), worst = 0;
        for (int64_t k = 0; k < HF_MODEL_TOKENS * HF_MODEL_WORDS; k++)
            worst = fmax(worst, fabs(a[k] - b[k]));
        if (!(worst > 0 && worst < cases[i].most))
            fail_msg("%s: the logits differ by %g", cases[i].type, worst);
        free(a), free(b);
        written_release(&w);
    }
}

static const char over_bytes[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true}],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}]},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"<s>\":0,\"a\":1,\"b\":2,\"ab\":3,\"c\":4},\"merges\":[\"a b\"]}}";

static void the_tokenizer_comes_along(void **state)
{
    (void)state;
    struct written w;
    json_error_t error;
    write_and_read(&w, "f32", over_bytes);
    json_t *root = json_loadb(w.second.tokenizer.data, w.second.tokenizer.length, 0, &error);
    json_t *expected = json_loads(over_bytes, 0, &error);
    assert_non_null(root);
    const json_t *model = json_object_get(root, "model"), *words = json_object_get(model, "vocab");
    const json_t *wanted = json_object_get(json_object_get(expected, "model"), "vocab");
    const char *word;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)wanted, word, id)
        assert_true(json_equal(json_object_get(words, word), id));
    assert_true(json_equal(json_object_get(model, "merges"),
                           json_object_get(json_object_get(expected, "model"), "merges")));
    const json_t *steps = json_object_get(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    assert_int_equal(json_array_size(steps), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 0), "type")), "Digits");
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(root, "added_tokens"), 0), "content")),
                        "<s>");
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "post_processor"), "type")),
                        "TemplateProcessing");
    json_decref(root);
    json_decref(expected);
    written_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_comes_back),         cmocka_unit_test(floats_come_back_as_they_were),
        cmocka_unit_test(all_architectures_come_back), cmocka_unit_test(smaller_types_come_back_rounded),
        cmocka_unit_test(the_tokenizer_comes_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
