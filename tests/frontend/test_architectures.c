/* Folders of every architecture in ir/hf_architectures.def: the graph computes what the transformers library
 * computes from the same folder. */
#include "ir/hf_architecture.h"
#include "tests/frontend/hf_models.h"
#include "tests/support/evaluate.h"
#include <math.h>

static void expect_logits(const struct import_fixture *f, const struct hf_model *model)
{
    struct trace trace = {0};
    struct imported_model imported;
    assert_ok(frontend_import(&imported, f->directory, NULL, &trace), &trace);
    double *logits = evaluate(imported.graph, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
    const double *last = logits + (HF_MODEL_TOKENS - 1) * HF_MODEL_WORDS;
    for (int64_t i = 0; i < HF_MODEL_WORDS; i++)
        if (!(fabs(last[i] - model->logits[i]) < 2e-6))
            fail_msg("%s: logit %d is %.9g, expected %.9g", model->name, (int)i, last[i], model->logits[i]);
    free(logits);
    imported_model_release(&imported);
}

static void compute_what_transformers_computes(void **state)
{
    (void)state;
    for (size_t i = 0; i < hf_model_count; i++) {
        struct import_fixture f;
        import_fixture_create(&f);
        hf_model_write(&f, &hf_models[i], 0);
        expect_logits(&f, &hf_models[i]);
        import_fixture_release(&f);
    }
}

/* Old checkpoints of GPT-2 are those of the model without its head. */
static void are_read_without_the_name_of_the_inner_model(void **state)
{
    (void)state;
    const struct hf_model *model = &hf_models[hf_model_count - 1];
    assert_string_equal(model->name, "gpt2");
    struct import_fixture f;
    import_fixture_create(&f);
    hf_model_write(&f, model, strlen("transformer."));
    expect_logits(&f, model);
    import_fixture_release(&f);
}

/* Each row of the table is tried, but for one that differs from another in its windows alone. */
static void are_all_tried(void **state)
{
    (void)state;
    for (size_t i = 0; i < hf_architecture_count; i++) {
        bool is_tried = strcmp(hf_architectures[i].model_type, "mistral") == 0;
        for (size_t k = 0; k < hf_model_count; k++)
            is_tried |= strcmp(hf_architectures[i].model_type, hf_models[k].name) == 0;
        if (!is_tried)
            fail_msg("%s is not tried", hf_architectures[i].name);
    }
}

/* A model of the table in whose configuration the first place of `from` becomes `to`. */
static void write_changed(struct import_fixture *f, const char *name, const char *from, const char *to)
{
    const struct hf_model *model = hf_models;
    while (strcmp(model->name, name) != 0)
        model++;
    const char *place = strstr(model->config, from);
    struct builder config = {0};
    assert_non_null(place);
    builder_printf(&config, "%.*s%s%s", (int)(place - model->config), model->config, to,
                   place + strlen(from));
    import_fixture_create(f);
    hf_model_write(f, model, 0);
    import_write_bytes(f, "config.json", config.data, config.length);
    builder_release(&config);
}

static void refuse(const char *name, const char *from, const char *to, enum status status, const char *words)
{
    struct import_fixture f;
    struct trace trace = {0};
    struct imported_model imported;
    write_changed(&f, name, from, to);
    assert_fails(frontend_import(&imported, f.directory, NULL, &trace), status, &trace, words);
    import_fixture_release(&f);
}

/* The windows of all layers, with other fields. */
static void expect_windows(const char *name, const char *from, const char *to, const char *windows)
{
    struct import_fixture f;
    struct trace trace = {0};
    struct imported_model imported;
    struct builder found = {0};
    write_changed(&f, name, from, to);
    assert_ok(frontend_import(&imported, f.directory, NULL, &trace), &trace);
    for (uint32_t i = 0; i < imported.graph->nodes.count; i++)
        if (imported.graph->nodes.items[i].op == OP_attention)
            builder_printf(&found, " %d",
                           (int)node_integer(&imported.graph->nodes.items[i], ATTRIBUTE_window));
    assert_string_equal(builder_text(&found), windows);
    builder_release(&found);
    imported_model_release(&imported);
    import_fixture_release(&f);
}

static void have_the_windows_that_the_configuration_says(void **state)
{
    (void)state;
    const char *from = "\"max_window_layers\": 28, \"layer_types\": [\"full_attention\"]";
    expect_windows("qwen3", from, "\"sliding_window\": 7, \"use_sliding_window\": false", " 0");
    expect_windows("qwen3", from,
                   "\"sliding_window\": 7, \"use_sliding_window\": true, \"max_window_layers\": 0", " 7");
    expect_windows("qwen3", from,
                   "\"sliding_window\": 7, \"use_sliding_window\": true, \"max_window_layers\": 1", " 0");
    expect_windows("qwen2", from, "\"sliding_window\": 7, \"layer_types\": [\"sliding_attention\"]", " 7");
    expect_windows("phi3", "\"model_type\"", "\"sliding_window\": 7, \"model_type\"", " 7");
}

static void name_the_field_that_does_not_fit(void **state)
{
    (void)state;
    refuse("gpt2", "gelu_new", "mish", UNSUPPORTED, "hidden_act");
    refuse("gpt2", "\"scale_attn_weights\": true", "\"scale_attn_weights\": false", INVALID,
           "scale_attn_weights");
    refuse("gpt2", "\"n_positions\": 16", "\"n_positions\": 32", INVALID,
           "'transformer.wpe.weight' has the shape [16, 8], the configuration asks for [32, 8]");
    refuse("gpt_neox", "0.5", "0.25", UNSUPPORTED, "cannot be rotated");
    refuse("nemotron", "0.5", "1.5", INVALID, "partial_rotary_factor");
    refuse("gemma", "\"vocab_size\"", "\"partial_rotary_factor\": 0.5, \"vocab_size\"", UNSUPPORTED,
           "partial_rotary_factor");
    refuse("phi3", "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 2", INVALID, "qkv_proj");
    refuse("qwen3", "\"head_dim\": 6", "\"head_dim\": 4", INVALID, "self_attn.q_proj");
    refuse("llama", "\"head_dim\": 4", "\"head_dim\": 65536, \"logits\": null", INVALID, "q_proj.weight");
    refuse("llama", "\"num_attention_heads\": 2", "\"num_attention_heads\": 8388608", INVALID,
           "8388608 heads");
}

/* What one architecture ignores may mean something to another, and only in words that are known. */
static void read_over_fields_of_their_own_only(void **state)
{
    (void)state;
    static const char *const fields[] = {"norm_type",       "attn_type",
                                         "expansion_ratio", "learned_pos_emb",
                                         "offset_alibi",    "original_max_position_embeddings"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char more[100];
        snprintf(more, sizeof more, "\"%s\": 1, \"vocab_size\"", fields[i]);
        refuse("llama", "\"vocab_size\"", more, UNSUPPORTED, fields[i]);
    }
    refuse("mpt", "low_precision_layernorm", "rmsnorm", UNSUPPORTED, "norm_type");
    refuse("mpt", "multihead_attention", "multiquery_attention", UNSUPPORTED, "attn_type");
    refuse("gemma2", "\"use_bidirectional_attention\": null", "\"use_bidirectional_attention\": true",
           UNSUPPORTED, "use_bidirectional_attention");
    struct import_fixture f;
    struct trace trace = {0};
    struct imported_model imported;
    write_changed(&f, "mpt", "\"vocab_size\"", /* as people have it */
                  "\"init_config\": {\"name\": \"kaiming_normal_\"}, \"verbose\": 0, "
                  "\"tokenizer_name\": \"EleutherAI/gpt-neox-20b\", \"vocab_size\"");
    assert_ok(frontend_import(&imported, f.directory, NULL, &trace), &trace);
    imported_model_release(&imported);
    import_fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compute_what_transformers_computes),
        cmocka_unit_test(are_read_without_the_name_of_the_inner_model),
        cmocka_unit_test(are_all_tried),
        cmocka_unit_test(have_the_windows_that_the_configuration_says),
        cmocka_unit_test(name_the_field_that_does_not_fit),
        cmocka_unit_test(read_over_fields_of_their_own_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
