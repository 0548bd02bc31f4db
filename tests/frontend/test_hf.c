/* Hugging Face folders: the same graph as the ONNX file of the same model; fields and tensors that do not fit
 * are named. */
#include "frontend/decoder.h"
#include "tests/frontend/hf_folder.h"
#include <sys/stat.h>

static struct trace trace;

static void text_of_onnx(struct builder *out, const struct onnx_llama *model)
{
    struct import_fixture f;
    struct imported_model imported;
    import_fixture_create(&f);
    import_llama(&imported, &f, model);
    import_text(out, &imported);
    imported_model_release(&imported);
    import_fixture_release(&f);
}

static void expect_same(const struct onnx_llama *model, enum shards shards)
{
    struct builder onnx = {0}, hf = {0};
    struct import_fixture f;
    struct imported_model imported;
    text_of_onnx(&onnx, model);
    import_fixture_create(&f);
    hf_folder_write(&f, model, shards);
    assert_ok(frontend_import(&imported, f.directory, NULL, &trace), &trace);
    import_text(&hf, &imported);
    assert_string_equal(builder_text(&onnx), builder_text(&hf));
    for (uint32_t i = 0; i < imported.graph->tensors.count; i++)
        if (!str_is(imported.graph->tensors.items[i].name, "inv_freq"))
            assert_non_null(imported.graph->tensors.items[i].view.mapping); /* nothing is copied */
    imported_model_release(&imported);
    import_fixture_release(&f);
    builder_release(&onnx);
    builder_release(&hf);
}

static void is_the_graph_of_the_onnx_file(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    expect_same(&model, ONE_FILE);
    expect_same(&model, TWO_SHARDS);
    model.tie = TIE_SAME_TENSOR;
    expect_same(&model, ONE_FILE);
    model.bias = true;
    expect_same(&model, TWO_SHARDS);
    model.half = true;
    expect_same(&model, ONE_FILE);
    model.kv_heads = 1;
    model.layers = 3;
    expect_same(&model, ONE_FILE);
}

/* torch 2.15, transformers 5.23: LlamaRotaryEmbedding(LlamaConfig(head_dim=16, ...)).inv_freq */
static void has_the_frequencies_of_transformers(void **state)
{
    (void)state;
    static const struct {
        struct decoder_rotary rotary;
        float expected[8];
    } cases[] = {
        {{.theta = 10000, .scaling = ROTARY_PLAIN},
         {0x1.0000000000000p+0f, 0x1.43d1360000000p-2f, 0x1.99999a0000000p-4f, 0x1.030dc60000000p-5f,
          0x1.47ae140000000p-7f, 0x1.9e7c700000000p-9f, 0x1.0624de0000000p-10f, 0x1.4b96c00000000p-12f}},
        {{.theta = 500000, .scaling = ROTARY_PLAIN},
         {0x1.0000000000000p+0f, 0x1.8d27600000000p-3f, 0x1.3411900000000p-5f, 0x1.ddee9e0000000p-8f,
          0x1.72ba420000000p-10f, 0x1.1f91f00000000p-12f, 0x1.be21880000000p-15f, 0x1.5a0f4e0000000p-17f}},
        {{.theta = 10000, .scaling = ROTARY_LINEAR, .factor = 3.0},
         {0x1.5555560000000p-2f, 0x1.afc19e0000000p-4f, 0x1.1111120000000p-5f, 0x1.5967b20000000p-7f,
          0x1.b4e81a0000000p-9f, 0x1.1452f60000000p-10f, 0x1.5d867e0000000p-12f, 0x1.ba1e560000000p-14f}},
        {{.theta = 500000,
          .scaling = ROTARY_LLAMA3,
          .factor = 8.0,
          .low_factor = 1.0,
          .high_factor = 4.0,
          .original_context = 512},
         {0x1.0000000000000p+0f, 0x1.8d27600000000p-3f, 0x1.c0019c0000000p-6f, 0x1.ddee9e0000000p-11f,
          0x1.72ba420000000p-13f, 0x1.1f91f00000000p-15f, 0x1.be21880000000p-18f, 0x1.5a0f4e0000000p-20f}},
        {{.theta = 50000,
          .scaling = ROTARY_LLAMA3,
          .factor = 5.0,
          .low_factor = 1.0,
          .high_factor = 3.0,
          .original_context = 8192},
         {0x1.0000000000000p+0f, 0x1.08ce7a0000000p-2f, 0x1.11ea820000000p-4f, 0x1.1b56c20000000p-6f,
          0x1.2515fe0000000p-8f, 0x1.e8de9e0000000p-12f, 0x1.f5c17c0000000p-15f, 0x1.03821c0000000p-16f}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float found[8];
        struct decoder_rotary rotary = cases[i].rotary;
        rotary.size = 16;
        decoder_frequencies(found, &rotary);
        for (size_t j = 0; j < 8; j++)
            if (found[j] != cases[i].expected[j])
                fail_msg("case %zu: frequency %zu is %a, expected %a", i, j, (double)found[j],
                         (double)cases[i].expected[j]);
    }
}

struct folder {
    struct import_fixture f;
    struct onnx_llama model;
};

static int set_up(void **state)
{
    static struct folder folder;
    folder.model = onnx_llama_default();
    import_fixture_create(&folder.f);
    hf_folder_write(&folder.f, &folder.model, ONE_FILE);
    *state = &folder;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *folder = *state;
    import_fixture_release(&folder->f);
    return 0;
}

static void refuse(struct folder *folder, enum status status, const char *words)
{
    struct imported_model imported;
    assert_fails(frontend_import(&imported, folder->f.directory, NULL, &trace), status, &trace, words);
}

static void accept(struct folder *folder, const char *note)
{
    struct imported_model imported;
    assert_ok(frontend_import(&imported, folder->f.directory, NULL, &trace), &trace);
    if (note && !import_has_note(&imported, note))
        fail_msg("no note says \"%s\"", note);
    imported_model_release(&imported);
}

static void names_fields_that_it_does_not_understand(void **state)
{
    struct folder *folder = *state;
    static const struct {
        const char *more, *words;
        enum status status;
    } cases[] = {
        {", \"logit_scale\": 0.5", "logit_scale", UNSUPPORTED},
        {", \"quantization_config\": {\"bits\": 4}", "quantization_config", UNSUPPORTED},
        {", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0}", "\"yarn\"", UNSUPPORTED},
        {", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4.0}", "\"dynamic\"", UNSUPPORTED},
        {", \"rope_scaling\": {\"rope_type\": \"linear\", \"beta_fast\": 4}", "beta_fast", UNSUPPORTED},
        {", \"rope_scaling\": {\"rope_type\": \"linear\"}", "\"factor\" is missing", INVALID},
        {", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}", "original_max_position", INVALID},
        {", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 1, \"original_max_position_embeddings\": 64}",
         "low_freq_factor", INVALID},
        {", \"rope_theta\": \"many\"", "rope_theta", INVALID},
        {", \"rope_theta\": -1", "rope_theta", INVALID},
        {", \"partial_rotary_factor\": 0.5", "partial_rotary_factor", UNSUPPORTED},
        {", \"attention_bias\": true", "self_attn.q_proj.bias", INVALID},
        {", \"mlp_bias\": true", "mlp.gate_proj.bias", INVALID},
        {", \"attention_bias\": 1", "attention_bias\": expected true or false, found 1", INVALID},
        {", \"layer_types\": [\"chunked_attention\", \"full_attention\"]", "layer_types", UNSUPPORTED},
        {", \"layer_types\": [\"full_attention\"]", "layer_types", INVALID},
        {", \"layer_types\": [\"full_attention\", \"sliding_attention\"], \"sliding_window\": 8",
         "sliding_window", UNSUPPORTED},
        {", \"head_dim\": 4", "duplicate", INVALID},
        {"} {", "JSON", INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hf_config_write(&folder->f, &folder->model, cases[i].more);
        refuse(folder, cases[i].status, cases[i].words);
    }
}

static void reads_over_fields_that_do_not_matter(void **state)
{
    struct folder *folder = *state;
    hf_config_write(&folder->f, &folder->model,
                    ", \"torch_dtype\": \"bfloat16\", \"use_cache\": true, \"eos_token_id\": [1, 2], "
                    "\"some_switch\": false, \"some_value\": null, \"rope_scaling\": null, "
                    "\"layer_types\": [\"full_attention\", \"full_attention\"]");
    accept(folder, NULL);
}

static void write_config(struct folder *folder, const char *text)
{
    import_write_bytes(&folder->f, "config.json", text, strlen(text));
}

static void refuses_configurations_that_say_too_little(void **state)
{
    struct folder *folder = *state;
    write_config(folder, "{\"architectures\": [\"XLNetLMHeadModel\"]}");
    refuse(folder, UNSUPPORTED, "XLNetLMHeadModel");
    write_config(folder, "{\"architectures\": []}");
    refuse(folder, INVALID, "architectures");
    write_config(folder, "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 12}");
    refuse(folder, INVALID, "intermediate_size");
    write_config(folder, "[1]");
    refuse(folder, INVALID, "expected a JSON object");
    write_config(folder, "");
    refuse(folder, INVALID, "JSON");
}

static void refuses_sizes_that_do_not_fit(void **state)
{
    struct folder *folder = *state;
    struct onnx_llama other = folder->model;
    other.hidden = 16;
    hf_config_write(&folder->f, &other, "");
    refuse(folder, INVALID,
           "'model.embed_tokens.weight' has the shape [11, 12], the configuration asks for [11, 16]");
    other = folder->model;
    other.layers = 3;
    hf_config_write(&folder->f, &other, "");
    refuse(folder, INVALID, "no tensor 'model.layers.2.input_layernorm.weight'");
    other.layers = 1;
    hf_config_write(&folder->f, &other, "");
    refuse(folder, UNSUPPORTED, "tensor 'model.layers.1.");
    other.layers = INT64_C(1) << 40;
    hf_config_write(&folder->f, &other, "");
    refuse(folder, INVALID, "layers");
    other = folder->model;
    other.heads = 3;
    hf_config_write(&folder->f, &other, "");
    refuse(folder, INVALID, "expected a multiple of the 2 key-value heads, found 3 heads");
    other = folder->model;
    other.head = 3;
    hf_config_write(&folder->f, &other, "");
    refuse(folder, UNSUPPORTED, "halves");
}

static void refuses_a_head_that_is_not_what_it_is_tied_to(void **state)
{
    struct folder *folder = *state;
    struct onnx_llama tied = folder->model;
    tied.tie = TIE_SAME_TENSOR;
    hf_config_write(&folder->f, &tied, "");
    refuse(folder, INVALID, "'lm_head.weight' differs");
}

static void finds_the_weights_or_says_where_it_looked(void **state)
{
    struct folder *folder = *state;
    char *path = path_join(folder->f.directory, "model.safetensors");
    assert_int_equal(unlink(path), 0);
    refuse(folder, NOT_FOUND, "model.safetensors.index.json");
    free(path);
    path = path_join(folder->f.directory, "config.json");
    assert_int_equal(unlink(path), 0);
    refuse(folder, NOT_FOUND, "config.json");
    free(path);
}

static void write_index(struct folder *folder, const char *text)
{
    import_write_bytes(&folder->f, "model.safetensors.index.json", text, strlen(text));
}

static void holds_shards_to_the_index(void **state)
{
    struct folder *folder = *state;
    char *path = path_join(folder->f.directory, "model.safetensors");
    assert_int_equal(unlink(path), 0);
    free(path);
    hf_folder_write(&folder->f, &folder->model, TWO_SHARDS);
    accept(folder, NULL);
    write_index(folder, "{\"weight_map\": {\"a\": \"../model.safetensors\"}}");
    refuse(folder, INVALID, "\"..\" is not allowed");
    write_index(folder, "{\"weight_map\": {\"a\": \"/etc/passwd\"}}");
    refuse(folder, INVALID, "must be relative");
    write_index(folder, "{\"weight_map\": {\"a\": 7}}");
    refuse(folder, INVALID, "'a'");
    write_index(folder, "{\"weight_map\": []}");
    refuse(folder, INVALID, "weight_map");
    write_index(folder, "{\"weight_map\": {\"a\": \"model-00003.safetensors\"}}");
    refuse(folder, NOT_FOUND, "model-00003");
    write_index(folder, "{\"weight_map\": {\"a\": \"model-00002-of-00002.safetensors\"}}");
    refuse(folder, INVALID, "tensor 'a' is not in");
    write_index(folder, "{\"weight_map\": {\"model.norm.weight\": \"model-00001-of-00002.safetensors\"}}");
    refuse(folder, INVALID, "the index says nothing of it");
    write_index(folder, "{\"weight_map\": {\"model.norm.weight\": \"model-00001-of-00002.safetensors\", "
                        "\"model.norm.weight\": \"model-00001-of-00002.safetensors\"}}");
    refuse(folder, INVALID, "duplicate");
}

static void stays_inside_the_folder(void **state)
{
    struct folder *folder = *state;
    char *inner = path_join(folder->f.directory, "inner"),
         *outside = path_join(folder->f.directory, "model.safetensors");
    assert_int_equal(mkdir(inner, 0700), 0);
    struct folder within = {{inner, NULL}, folder->model};
    hf_config_write(&within.f, &within.model, "");
    char *link = path_join(inner, "model.safetensors");
    assert_int_equal(symlink(outside, link), 0);
    refuse(&within, INVALID, "leads out of the directory");
    free(link);
    free(outside);
    free(inner);
}

/* A snapshot is links into one folder of blobs. */
static void reads_a_cache_of_links(void **state)
{
    struct folder *folder = *state;
    static const char *const names[] = {"config.json", "model.safetensors"};
    char *inner = path_join(folder->f.directory, "snapshot");
    assert_int_equal(mkdir(inner, 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        char target[64], *link = path_join(inner, names[i]);
        snprintf(target, sizeof target, "../%s", names[i]);
        assert_int_equal(symlink(target, link), 0);
        free(link);
    }
    struct folder within = {{inner, NULL}, folder->model};
    accept(&within, NULL);
    free(inner);
}

static void takes_the_tokenizer_along(void **state)
{
    struct folder *folder = *state;
    struct imported_model imported;
    import_write_bytes(&folder->f, "tokenizer.json", "{}", 2);
    assert_ok(frontend_import(&imported, folder->f.directory, NULL, &trace), &trace);
    assert_true(str_is(imported.tokenizer, "{}"));
    assert_int_equal(imported.data_files.count, 2);
    assert_int_equal(imported.files.count, 3);
    imported_model_release(&imported);
}

int main(void)
{
#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_graph_of_the_onnx_file),
        cmocka_unit_test(has_the_frequencies_of_transformers),
        FOLDER_TEST(names_fields_that_it_does_not_understand),
        FOLDER_TEST(reads_over_fields_that_do_not_matter),
        FOLDER_TEST(refuses_configurations_that_say_too_little),
        FOLDER_TEST(refuses_sizes_that_do_not_fit),
        FOLDER_TEST(refuses_a_head_that_is_not_what_it_is_tied_to),
        FOLDER_TEST(finds_the_weights_or_says_where_it_looked),
        FOLDER_TEST(holds_shards_to_the_index),
        FOLDER_TEST(stays_inside_the_folder),
        FOLDER_TEST(reads_a_cache_of_links),
        FOLDER_TEST(takes_the_tokenizer_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
