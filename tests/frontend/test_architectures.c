/* Folders of every architecture in ir/hf_architectures.def: the graph computes what the transformers library
 * computes from the same folder. Element i of tensor t (in alphabetical order) is ((7919 t + 104729 i) mod
 * 2003) / 2003 - 1/2; of a vector, 1 + 0.4 times that. */
#include "ir/hf_architecture.h"
#include "tests/frontend/hf_folder.h"
#include "tests/support/evaluate.h"
#include <math.h>

enum { MOST_TENSORS = 24, WORDS = 11, TOKENS = 5 };

struct listed {
    const char *name;
    uint32_t rank;
    int64_t dims[2];
};

static const struct model {
    const char *name, *config;
    struct listed tensors[MOST_TENSORS];
    double logits[WORDS];
} models[] = {
#define TENSORS(...) \
    {                \
        __VA_ARGS__  \
    }
#define LOGITS(...) \
    {               \
        __VA_ARGS__ \
    }
#define MODEL(name, config, tensors, logits) {name, config, tensors, logits},
#include "tests/frontend/models.def"
};
enum { MODELS = sizeof models / sizeof *models };

/* `skipped` characters of each name are left out. */
static void write_weights(struct import_fixture *f, const struct model *model, size_t skipped)
{
    struct safetensors_maker maker = {0};
    struct builder file = {0};
    float values[WORDS * WORDS * 4];
    for (int64_t t = 0; t < MOST_TENSORS && model->tensors[t].name; t++) {
        const struct listed *tensor = &model->tensors[t];
        int64_t count = tensor->dims[0] * (tensor->rank > 1 ? tensor->dims[1] : 1);
        assert_true((size_t)count <= sizeof values / sizeof *values);
        for (int64_t i = 0; i < count; i++) {
            double u = (double)((t * 7919 + i * 104729) % 2003) / 2003 - 0.5;
            values[i] = (float)(tensor->rank > 1 ? u : 1 + 0.4 * u);
        }
        safetensors_add(&maker, tensor->name + skipped, "F32", tensor->rank, tensor->dims, values,
                        (size_t)count * sizeof *values);
    }
    safetensors_finish(&maker, &file);
    import_write_bytes(f, "model.safetensors", file.data, file.length);
    builder_release(&file);
}

static void expect_logits(const struct import_fixture *f, const struct model *model)
{
    static const int32_t tokens[TOKENS] = {3, 1, 4, 1, 5};
    struct trace trace = {0};
    struct imported_model imported;
    assert_ok(frontend_import(&imported, f->directory, NULL, &trace), &trace);
    double *logits = evaluate(imported.graph, EVALUATE_DOUBLE, 1, TOKENS, tokens);
    for (int64_t i = 0; i < WORDS; i++)
        if (!(fabs(logits[(TOKENS - 1) * WORDS + i] - model->logits[i]) < 2e-6))
            fail_msg("%s: logit %d is %.9g, expected %.9g", model->name, (int)i,
                     logits[(TOKENS - 1) * WORDS + i], model->logits[i]);
    free(logits);
    imported_model_release(&imported);
}

static void compute_what_transformers_computes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        struct import_fixture f;
        import_fixture_create(&f);
        import_write_bytes(&f, "config.json", models[i].config, strlen(models[i].config));
        write_weights(&f, &models[i], 0);
        expect_logits(&f, &models[i]);
        import_fixture_release(&f);
    }
}

/* Old checkpoints of GPT-2 are those of the model without its head. */
static void are_read_without_the_name_of_the_inner_model(void **state)
{
    (void)state;
    const struct model *model = &models[MODELS - 1];
    assert_string_equal(model->name, "gpt2");
    struct import_fixture f;
    import_fixture_create(&f);
    import_write_bytes(&f, "config.json", model->config, strlen(model->config));
    write_weights(&f, model, strlen("transformer."));
    expect_logits(&f, model);
    import_fixture_release(&f);
}

/* Each row of the table is tried, but for one that differs from another in its windows alone. */
static void are_all_tried(void **state)
{
    (void)state;
    for (size_t i = 0; i < hf_architecture_count; i++) {
        bool is_tried = strcmp(hf_architectures[i].model_type, "mistral") == 0;
        for (size_t k = 0; k < MODELS; k++)
            is_tried |= strcmp(hf_architectures[i].model_type, models[k].name) == 0;
        if (!is_tried)
            fail_msg("%s is not tried", hf_architectures[i].name);
    }
}

/* The first place of `from` becomes `to`. */
static void refuse(const char *name, const char *from, const char *to, enum status status, const char *words)
{
    const struct model *model = models;
    while (strcmp(model->name, name) != 0)
        model++;
    const char *place = strstr(model->config, from);
    struct builder config = {0};
    struct import_fixture f;
    struct trace trace = {0};
    struct imported_model imported;
    assert_non_null(place);
    builder_printf(&config, "%.*s%s%s", (int)(place - model->config), model->config, to,
                   place + strlen(from));
    import_fixture_create(&f);
    import_write_bytes(&f, "config.json", config.data, config.length);
    write_weights(&f, model, 0);
    assert_fails(frontend_import(&imported, f.directory, NULL, &trace), status, &trace, words);
    import_fixture_release(&f);
    builder_release(&config);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compute_what_transformers_computes),
        cmocka_unit_test(are_read_without_the_name_of_the_inner_model),
        cmocka_unit_test(are_all_tried),
        cmocka_unit_test(name_the_field_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
