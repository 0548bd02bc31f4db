/* Folders of each architecture, imported and written again: the names, shapes and values of its tensors where
 * the same architecture is chosen, and in any case what the transformers library computes from the first. */
#include "emit/emit.h"
#include "frontend/safetensors.h"
#include "passes/pass.h"
#include "passes/remove_branches.h"
#include "tests/emit/model.h"
#include "tests/frontend/hf_models.h"
#include "tests/support/evaluate.h"
#include <jansson.h>
#include <math.h>

static const struct emit_hf_options plain = {.bos = -1, .eos = -1};

struct folders {
    struct import_fixture first;
    char *second; /* directory */
    struct imported_model model;
    struct trace trace;
};

static void folders_create(struct folders *f, const struct hf_model *model)
{
    *f = (struct folders){0};
    import_fixture_create(&f->first);
    hf_model_write(&f->first, model, 0);
    f->second = path_join(f->first.directory, "second");
    assert_ok(frontend_import(&f->model, f->first.directory, NULL, &f->trace), &f->trace);
}

static void folders_release(struct folders *f)
{
    imported_model_release(&f->model);
    import_fixture_release(&f->first);
    free(f->second);
}

/* The graph after the passes. */
static struct graph *cut_graph(struct folders *f, struct pass_context *context, const char *passes)
{
    const struct pass_call *calls;
    uint32_t count;
    struct graph *cut = NULL;
    assert_ok(pass_parse(&calls, &count, &context->arena, str_from(passes), &f->trace), &f->trace);
    assert_ok(pass_run_all(&cut, f->model.graph, calls, count, context, &f->trace), &f->trace);
    return cut;
}

/* The graph without one branch of a layer. */
static struct graph *without(struct folders *f, uint32_t layer, const char *part)
{
    struct structure structure;
    struct arena arena = {0};
    struct graph *cut = NULL;
    assert_ok(structure_find(&structure, &arena, f->model.graph, &f->trace), &f->trace);
    uint32_t branch =
        strcmp(part, "mlp") == 0 ? structure.layers[layer].mlp : structure.layers[layer].attention;
    assert_ok(remove_branches(&cut, f->model.graph, &structure, &branch, 1, &f->trace), &f->trace);
    arena_release(&arena);
    return cut;
}

static void write_second(struct folders *f, const struct graph *graph)
{
    struct emitted emitted = {0};
    assert_ok(emit_hf(&emitted, f->second, graph, &plain, &f->trace), &f->trace);
    emitted_release(&emitted);
}

static json_t *read_config(const char *directory)
{
    char *path = path_join(directory, "config.json");
    json_error_t error;
    json_t *config = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(config);
    free(path);
    return config;
}

static const char *text_of(const json_t *config, const char *key)
{
    return json_string_value(json_object_get(config, key));
}

/* Logits of the last token after import of the second folder. */
static void second_logits(struct folders *f, double out[HF_MODEL_WORDS])
{
    struct imported_model again;
    assert_ok(frontend_import(&again, f->second, NULL, &f->trace), &f->trace);
    double *logits = evaluate(again.graph, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
    memcpy(out, logits + (HF_MODEL_TOKENS - 1) * HF_MODEL_WORDS, HF_MODEL_WORDS * sizeof *out);
    free(logits);
    imported_model_release(&again);
}

static void expect_close(const char *name, const double *found, const double *expected)
{
    for (int64_t i = 0; i < HF_MODEL_WORDS; i++)
        if (!(fabs(found[i] - expected[i]) < 2e-6))
            fail_msg("%s: logit %d is %.9g, expected %.9g", name, (int)i, found[i], expected[i]);
}

static void read_tensors(struct weight_set *set, struct arena *arena, struct mapping *mapping,
                         const char *directory)
{
    struct trace trace = {0};
    char *path = path_join(directory, "model.safetensors");
    *set = (struct weight_set){.arena = arena};
    assert_ok(mapping_open(mapping, path, &trace), &trace);
    assert_ok(safetensors_read(set, mapping, &trace), &trace);
    free(path);
}

/* The same tensors in both folders; norms that one was taken off and added to are near. */
static void expect_same_tensors(const struct folders *f, const char *name)
{
    struct arena arena = {0};
    struct weight_set a, b;
    struct mapping map_a, map_b;
    read_tensors(&a, &arena, &map_a, f->first.directory);
    read_tensors(&b, &arena, &map_b, f->second);
    for (uint32_t i = 0; i < b.items.count; i++)
        if (!weight_set_find(&a, b.items.items[i].name))
            fail_msg("%s: " STR_FORMAT " is new", name, STR_ARGUMENT(b.items.items[i].name));
    assert_int_equal(a.items.count, b.items.count);
    for (uint32_t i = 0; i < a.items.count; i++) {
        const struct stored_weight *x = &a.items.items[i], *y = weight_set_find(&b, x->name);
        if (!y || x->rank != y->rank || memcmp(x->dims, y->dims, x->rank * sizeof *x->dims) != 0)
            fail_msg("%s: " STR_FORMAT " is missing or has another shape", name, STR_ARGUMENT(x->name));
        int64_t count = tensor_view_count(&x->view);
        float *p = ARENA_ARRAY(&arena, float, (size_t)count), *q = ARENA_ARRAY(&arena, float, (size_t)count);
        tensor_view_read_f32(&x->view, 0, count, p);
        tensor_view_read_f32(&y->view, 0, count, q);
        for (int64_t k = 0; k < count; k++)
            if (!(fabsf(p[k] - q[k]) <= (x->rank == 1 ? 2e-7f : 0)))
                fail_msg("%s: element %d of " STR_FORMAT " is %g, expected %g", name, (int)k,
                         STR_ARGUMENT(x->name), (double)q[k], (double)p[k]);
    }
    mapping_release(&map_a);
    mapping_release(&map_b);
    arena_release(&arena);
}

static void come_back_as_they_were(void **state)
{
    (void)state;
    for (size_t i = 0; i < hf_model_count; i++) {
        struct folders f;
        double logits[HF_MODEL_WORDS];
        folders_create(&f, &hf_models[i]);
        assert_ok(emit_hf_check(f.model.graph, EMIT_REFUSES_MISSING, &f.trace), &f.trace);
        write_second(&f, f.model.graph);
        second_logits(&f, logits);
        expect_close(hf_models[i].name, logits, hf_models[i].logits);
        json_t *config = read_config(f.second);
        /* Without a partial rotation, a Llama says the same with tensors apart. */
        bool is_phi = strcmp(hf_models[i].name, "phi3") == 0;
        assert_string_equal(text_of(config, "model_type"), is_phi ? "llama" : hf_models[i].name);
        if (!is_phi)
            expect_same_tensors(&f, hf_models[i].name);
        json_decref(config);
        folders_release(&f);
    }
}

/* One weight a file, as none fits: the index leads to all; a later export in one piece leaves no shard. */
static void are_read_from_shards(void **state)
{
    (void)state;
    static const struct emit_hf_options small = {.bos = -1, .eos = -1, .shard_size = 200};
    struct folders f;
    struct emitted emitted = {0};
    double logits[HF_MODEL_WORDS];
    uint64_t most = 0;
    folders_create(&f, &hf_models[0]);
    assert_ok(emit_hf(&emitted, f.second, f.model.graph, &small, &f.trace), &f.trace);
    for (uint32_t i = 0; i < emitted.files.count; i++)
        if (strstr(emitted.files.items[i].name, "-of-") && emitted.files.items[i].bytes > most)
            most = emitted.files.items[i].bytes;
    assert_true(emitted.files.count > 8 && most < 800); /* the largest weight has 384 bytes */
    second_logits(&f, logits);
    expect_close("shards", logits, hf_models[0].logits);
    write_second(&f, f.model.graph);
    char *path = path_join(f.second, "model.safetensors.index.json");
    assert_false(file_exists(path));
    expect_same_tensors(&f, "llama");
    free(path);
    emitted_release(&emitted);
    folders_release(&f);
}

/* Applies a pass, writes the folder and expects of it what the graph computes. */
static void expect_kept(const char *name, const char *passes)
{
    const struct hf_model *model = hf_models;
    struct folders f;
    struct pass_context context = {0};
    double logits[HF_MODEL_WORDS];
    while (strcmp(model->name, name) != 0)
        model++;
    folders_create(&f, model);
    struct graph *cut = cut_graph(&f, &context, passes);
    write_second(&f, cut);
    second_logits(&f, logits);
    double *expected = evaluate(cut, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
    expect_close(name, logits, expected + (HF_MODEL_TOKENS - 1) * HF_MODEL_WORDS);
    free(expected);
    pass_context_release(&context);
    graph_destroy(cut);
    folders_release(&f);
}

/* The embedding's scale follows from the hidden size, a norm's weight is less one, the queries' scale follows
 * from the size of a head. */
static void make_up_for_what_the_configuration_computes(void **state)
{
    (void)state;
    expect_kept("gemma", "prune_hidden{keep=0+2+3+4+6}");
    expect_kept("nemotron", "prune_hidden{keep=0+2+3+4+6}");
    expect_kept("nemotron", "prune_kv_heads{keep=0}");
    expect_kept("qwen3", "prune_hidden{keep=1+2+5+7} prune_ffn{keep=0+3+11}");
    expect_kept("gpt_neox", "prune_ffn{keep=0+3+11}");
    expect_kept("gpt2", "prune_ffn{keep=0+3+11}");
    expect_kept("gemma2", "prune_hidden{keep=0+2+3+4+6} prune_ffn{keep=0+3+11}");
    expect_kept("gemma3_text", "prune_hidden{keep=0+2+3+4+6} prune_ffn{keep=0+3+11}");
    expect_kept("smollm3", "prune_ffn{keep=0+3+11}");
    expect_kept("olmo", "prune_ffn{keep=0+3+11}");
    expect_kept("olmo2", "prune_ffn{keep=0+3+11}");
    expect_kept("phi", "prune_ffn{keep=0+3+11}");
    expect_kept("starcoder2", "prune_ffn{keep=0+3+11}");
    expect_kept("falcon", "prune_ffn{keep=0+3+11}");
    expect_kept("opt", "prune_ffn{keep=0+3+11}");
    expect_kept("gpt_neo", "prune_ffn{keep=0+3+11}");
    /* The slopes of every second of two heads are those of one. */
    expect_kept("bloom", "prune_hidden{keep=0+1+2+3} prune_kv_heads{keep=1} prune_ffn{keep=0-15}");
}

/* Zeros for what is gone: the folder computes what the graph without it does. */
static void fill_up_what_a_layer_has_lost(void **state)
{
    (void)state;
    static const struct emit_hf_options filled = {.bos = -1, .eos = -1, .missing = EMIT_FILLS_MISSING};
    static const char *const names[] = {"gemma2", "smollm3", "gpt_neo"}, *const parts[] = {"attention",
                                                                                           "mlp"};
    for (size_t i = 0; i < 6; i++) {
        const struct hf_model *model = hf_models;
        struct folders f;
        struct emitted emitted = {0};
        double logits[HF_MODEL_WORDS];
        while (strcmp(model->name, names[i / 2]) != 0)
            model++;
        folders_create(&f, model);
        struct graph *cut = without(&f, 1, parts[i % 2]);
        assert_fails(emit_hf_check(cut, EMIT_REFUSES_MISSING, &f.trace), UNSUPPORTED, &f.trace,
                     "in every layer");
        f.trace = (struct trace){0};
        assert_ok(emit_hf_check(cut, EMIT_FILLS_MISSING, &f.trace), &f.trace);
        assert_ok(emit_hf(&emitted, f.second, cut, &filled, &f.trace), &f.trace);
        second_logits(&f, logits);
        double *expected = evaluate(cut, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
        expect_close(model->name, logits, expected + (HF_MODEL_TOKENS - 1) * HF_MODEL_WORDS);
        free(expected);
        emitted_release(&emitted);
        graph_destroy(cut);
        folders_release(&f);
    }
}

static void refuse(const char *name, const char *passes, const char *words)
{
    const struct hf_model *model = hf_models;
    struct folders f;
    struct pass_context context = {0};
    while (strcmp(model->name, name) != 0)
        model++;
    folders_create(&f, model);
    struct graph *cut = cut_graph(&f, &context, passes);
    assert_fails(emit_hf_check(cut, EMIT_REFUSES_MISSING, &f.trace), UNSUPPORTED, &f.trace, words);
    pass_context_release(&context);
    graph_destroy(cut);
    folders_release(&f);
}

static void name_the_field_that_cannot_say_it(void **state)
{
    (void)state;
    refuse("gpt2", "prune_kv_heads{keep=0}", "head_dim");
    refuse("gpt2", "prune_hidden{keep=0+1+2}", "n_embd (3) must be a multiple of n_head (2)");
    refuse("gpt_neox", "prune_kv_heads{keep=0}", "head_dim");
    refuse("bloom", "prune_hidden{keep=0+1+2+3} prune_kv_heads{keep=0} prune_ffn{keep=0-15}",
           "head 0 of layer 0 has 0.0625, expected 0.00390625");
    refuse("bloom", "prune_ffn{keep=0-15}", "its MLP has 4 * hidden_size (32) channels, found 16");
    refuse("gpt_neox", "prune_hidden{keep=0+1+2}",
           "hidden_size (3) must be a multiple of num_attention_heads (2)");
}

/* transformers takes the token that an architecture pads with by default from the embedding, so it must be in
 * it or none: the defaults of these are those of large vocabularies. */
static void do_not_pad_with_a_token_beyond_the_vocabulary(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool says_none;
    } cases[] = {{"smollm3", true}, {"qwen2", false}, {"opt", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct hf_model *model = hf_models;
        struct folders f;
        while (strcmp(model->name, cases[i].name) != 0)
            model++;
        folders_create(&f, model);
        write_second(&f, f.model.graph);
        json_t *config = read_config(f.second);
        json_t *padding = json_object_get(config, "pad_token_id");
        assert_int_equal(json_is_null(padding), cases[i].says_none);
        assert_int_equal(padding != NULL, cases[i].says_none);
        json_decref(config);
        folders_release(&f);
    }
}

/* The whole content of the GGUF file of a graph; heap. */
static uint8_t *write_gguf(struct folders *f, size_t *size)
{
    static const struct emit_gguf_options options = {.bos = -1, .eos = -1};
    struct emitted emitted = {0};
    char *path = path_join(f->first.directory, "model.gguf");
    assert_ok(emit_gguf(&emitted, path, f->model.graph, &options, &f->trace), &f->trace);
    emitted_release(&emitted);
    free(path);
    return model_read_file(f->first.directory, "model.gguf", size);
}

static bool has_bytes(const uint8_t *file, size_t size, const void *bytes, size_t count)
{
    return memmem(file, size, bytes, count) != NULL;
}

/* Queries, keys and values of all heads, one after the other, whatever the folder had. */
static void expect_stacked(const struct folders *f, const uint8_t *file, size_t size)
{
    static const char *const names[] = {"layers.0.q", "layers.0.k", "layers.0.v"};
    float stacked[512];
    int64_t count = 0;
    for (int i = 0; i < 3; i++) {
        const struct tensor_view *view = &import_find_tensor(&f->model, names[i])->view;
        tensor_view_read_f32(view, 0, tensor_view_count(view), stacked + count);
        count += tensor_view_count(view);
    }
    assert_true(has_bytes(file, size, "attn_qkv.weight", 15));
    assert_true(has_bytes(file, size, stacked, (size_t)count * sizeof *stacked));
}

static void are_written_as_gguf_where_it_has_the_architecture(void **state)
{
    (void)state;
    static const struct {
        const char *name, *key;
        bool is_stacked;
    } cases[] = {
        {"qwen2", "qwen2.block_count", false},
        {"qwen3", "qwen3.block_count", false},
        {"gemma", "gemma.block_count", false},
        {"nemotron", "nemotron.block_count", false},
        {"stablelm", "stablelm.block_count", false},
        {"phi", "phi2.rope.dimension_count", false},
        {"gemma2", "gemma2.attention.sliding_window_pattern", false},
        {"gemma3_text", "gemma3.rope.freq_base_swa", false},
        {"olmo", "olmo.attention.layer_norm_epsilon", false},
        {"olmo2", "olmo2.block_count", false},
        {"gpt_neox", "gptneox.use_parallel_residual", true},
        {"bloom", "bloom.block_count", true},
        {"gpt2", "gpt2.block_count", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct hf_model *model = hf_models;
        struct folders f;
        size_t size;
        while (strcmp(model->name, cases[i].name) != 0)
            model++;
        folders_create(&f, model);
        uint8_t *file = write_gguf(&f, &size);
        if (!has_bytes(file, size, cases[i].key, strlen(cases[i].key)))
            fail_msg("%s: no key %s", cases[i].name, cases[i].key);
        if (cases[i].is_stacked)
            expect_stacked(&f, file, size);
        free(file);
        folders_release(&f);
    }
}

static void refuse_gguf(const char *name, const char *words)
{
    const struct hf_model *model = hf_models;
    struct folders f;
    while (strcmp(model->name, name) != 0)
        model++;
    folders_create(&f, model);
    assert_fails(emit_gguf_check(f.model.graph, EMIT_REFUSES_MISSING, &f.trace), UNSUPPORTED, &f.trace,
                 words);
    folders_release(&f);
}

/* GGUF says "all but every n-th", and layers that were not taken out in step no longer are that. */
static void windows_out_of_step_are_refused(void **state)
{
    (void)state;
    struct folders f;
    struct hf_model model = *hf_models;
    for (size_t i = 0; i < hf_model_count; i++)
        if (strcmp(hf_models[i].name, "gemma2") == 0)
            model = hf_models[i];
    struct str config = str_from(model.config), types = STR("\"sliding_attention\", \"full_attention\"");
    const char *found = memmem(config.data, config.length, types.data, types.length);
    struct builder other = {0};
    assert_non_null(found);
    builder_add(&other, config.data, (size_t)(found - config.data));
    builder_add_text(&other, "\"full_attention\", \"sliding_attention\"");
    builder_add_text(&other, found + types.length);
    model.config = builder_text(&other);
    folders_create(&f, &model);
    assert_fails(emit_gguf_check(f.model.graph, EMIT_REFUSES_MISSING, &f.trace), UNSUPPORTED, &f.trace,
                 "gemma2: all layers but every n-th have a window (sliding_window_pattern)");
    folders_release(&f);
    builder_release(&other);
}

static void are_refused_where_gguf_has_none(void **state)
{
    (void)state;
    refuse_gguf("opt", "The nearest is gpt2: its activation is gelu_new");
    refuse_gguf("smollm3", "no_rope_layers");
    refuse_gguf("gpt_neo", "it has no layer_types");
    refuse_gguf("starcoder2", "its attention has no sliding_window, found one of 3");
}

static bool file_says(const struct folders *f, const char *word)
{
    size_t size;
    uint8_t *file = model_read_file(f->first.directory, "fused.onnx", &size);
    bool found = has_bytes(file, size, word, strlen(word));
    free(file);
    return found;
}

static bool has_op(const struct graph *graph, enum op op)
{
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.items[i].op == op)
            return true;
    return false;
}

/* Opset 23, for which readers want version 11 of the format, only where one of its operators is there. */
static void expect_lowest_versions(const struct folders *f)
{
    bool needs_23 =
        file_says(f, "RMSNormalization") || file_says(f, "RotaryEmbedding") || file_says(f, "q_num_heads");
    size_t size;
    uint8_t *file = model_read_file(f->first.directory, "fused.onnx", &size);
    /* ir_version; operator set "" of the version: field 8, 4 bytes, domain of no bytes, version */
    const uint8_t version[] = {0x08, needs_23 ? 11 : 8},
                  opset[] = {0x42, 4, 0x0a, 0, 0x10, needs_23 ? 23 : 17};
    assert_memory_equal(file, version, sizeof version);
    assert_true(has_bytes(file, size < 64 ? size : 64, opset, sizeof opset));
    free(file);
}

/* As ONNX with the operators of opset 23: read again they compute what the transformers library does.
 * Attention with soft caps or slopes has no such operator. */
static void come_back_from_fused_operators(void **state)
{
    (void)state;
    static const struct emit_onnx_options fused = {.is_fused = true};
    for (size_t i = 0; i < hf_model_count; i++) {
        struct folders f;
        struct emitted emitted = {0};
        struct imported_model again;
        folders_create(&f, &hf_models[i]);
        const char *name = hf_models[i].name;
        char *path = path_join(f.first.directory, "fused.onnx");
        assert_ok(emit_onnx(&emitted, path, f.model.graph, &fused, &f.trace), &f.trace);
        assert_ok(frontend_import_onnx(&again, path, NULL, &f.trace), &f.trace);
        double *logits = evaluate(again.graph, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
        expect_close(name, logits + (HF_MODEL_TOKENS - 1) * HF_MODEL_WORDS, hf_models[i].logits);
        bool has_slopes = strstr(hf_models[i].config, "\"alibi\": true") || strcmp(name, "bloom") == 0;
        assert_int_equal(file_says(&f, "q_num_heads"), strcmp(name, "gemma2") != 0 && !has_slopes);
        assert_int_equal(file_says(&f, "RMSNormalization"),
                         has_op(f.model.graph, OP_rmsnorm) || has_op(f.model.graph, OP_head_rmsnorm));
        expect_lowest_versions(&f);
        assert_int_equal(file_says(&f, "RotaryEmbedding"), import_find_tensor(&f.model, "inv_freq") != NULL);
        free(logits), free(path);
        imported_model_release(&again);
        emitted_release(&emitted);
        folders_release(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_back_as_they_were),
        cmocka_unit_test(are_read_from_shards),
        cmocka_unit_test(make_up_for_what_the_configuration_computes),
        cmocka_unit_test(fill_up_what_a_layer_has_lost),
        cmocka_unit_test(name_the_field_that_cannot_say_it),
        cmocka_unit_test(do_not_pad_with_a_token_beyond_the_vocabulary),
        cmocka_unit_test(are_written_as_gguf_where_it_has_the_architecture),
        cmocka_unit_test(come_back_from_fused_operators),
        cmocka_unit_test(windows_out_of_step_are_refused),
        cmocka_unit_test(are_refused_where_gguf_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
