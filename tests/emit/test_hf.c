/* Hugging Face folders: config.json read as JSON, model.safetensors by a reader of the format's rules here.
 */
#include "emit/emit.h"
#include "ir/text.h"
#include "tests/emit/model.h"
#include <jansson.h>
#include <sys/stat.h>

static const struct model_shape grouped = {2, 24, 4, 2, 6, 43, 50, .tied = false};
static const struct emit_hf_options plain = {.bos = -1, .eos = -1};

struct fixture {
    char *directory;
    char path[4000];
    struct trace trace;
    struct emitted emitted;
    struct graph *graph;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->directory = test_directory_create();
    snprintf(f->path, sizeof f->path, "%s/model", f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    emitted_release(&f->emitted);
    graph_destroy(f->graph);
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

static void write_model(struct fixture *f, const struct model_shape *shape,
                        const struct emit_hf_options *options)
{
    f->graph = model_create(shape);
    assert_ok(emit_hf_check(f->graph, EMIT_REFUSES_MISSING, &f->trace), &f->trace);
    assert_ok(emit_hf(&f->emitted, f->path, f->graph, options, &f->trace), &f->trace);
}

static void assert_refused(struct fixture *f, const struct model_shape *shape, const char *words)
{
    f->graph = model_create(shape);
    assert_fails(emit_hf_check(f->graph, EMIT_REFUSES_MISSING, &f->trace), UNSUPPORTED, &f->trace, words);
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &plain, &f->trace), UNSUPPORTED, &f->trace, words);
    assert_int_equal(rmdir(f->directory), 0); /* empty */
}

static json_t *read_json(const struct fixture *f, const char *name)
{
    size_t size;
    json_error_t error;
    uint8_t *bytes = model_read_file(f->path, name, &size);
    json_t *json = json_loadb((char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("%s: line %d: %s", name, error.line, error.text);
    free(bytes);
    return json;
}

static void assert_number(const json_t *object, const char *key, double expected)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value) || json_number_value(value) != expected)
        fail_msg("%s: expected %g", key, expected);
}

static void assert_text(const json_t *object, const char *key, const char *expected)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_string(value));
    assert_string_equal(json_string_value(value), expected);
}

/* ---- safetensors ---- */

struct weights {
    uint8_t *bytes;
    size_t size, start; /* start: of the content */
    json_t *header;
};

static struct weights read_weights(const struct fixture *f)
{
    struct weights w = {0};
    uint64_t length;
    json_error_t error;
    w.bytes = model_read_file(f->path, "model.safetensors", &w.size);
    assert_true(w.size >= 8);
    memcpy(&length, w.bytes, 8);
    assert_true(length <= w.size - 8 && length % 8 == 0 && w.bytes[8] == '{');
    w.start = 8 + length;
    w.header = json_loadb((char *)w.bytes + 8, length, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(w.header);
    return w;
}

static void weights_release(struct weights *w)
{
    json_decref(w->header);
    free(w->bytes);
}

static int64_t offset_of(const json_t *entry, size_t which)
{
    return json_integer_value(json_array_get(json_object_get(entry, "data_offsets"), which));
}

static void assert_weight(const struct weights *w, const char *name, const struct graph *graph,
                          const char *tensor_name, float factor)
{
    const json_t *entry = json_object_get(w->header, name), *shape = json_object_get(entry, "shape");
    if (!entry)
        fail_msg("no weight %s", name);
    assert_text(entry, "dtype", "F32");
    for (uint32_t i = 0; i < graph->tensors.count; i++) {
        const struct tensor *t = &graph->tensors.items[i];
        if (!str_is(t->name, tensor_name))
            continue;
        int64_t count = tensor_view_count(&t->view);
        assert_int_equal(json_array_size(shape), t->view.rank);
        for (uint32_t a = 0; a < t->view.rank; a++)
            assert_int_equal(json_integer_value(json_array_get(shape, a)), t->view.dims[a]);
        float *expected = calloc((size_t)count, sizeof *expected);
        tensor_view_read_f32(&t->view, 0, count, expected);
        for (int64_t k = 0; k < count; k++)
            expected[k] *= factor;
        assert_memory_equal(w->bytes + w->start + offset_of(entry, 0), expected,
                            (size_t)count * sizeof *expected);
        free(expected);
        return;
    }
    fail_msg("no tensor %s", tensor_name);
}

/* https://github.com/huggingface/safetensors#format: offsets leave no holes, do not overlap and end with the
 * file. */
static void weights_follow_the_rules_of_the_format(void **state)
{
    struct fixture *f = *state;
    write_model(f, &grouped, &plain);
    struct weights w = read_weights(f);
    const char *name, *last = "";
    json_t *entry;
    int64_t end = 0;
    assert_text(json_object_get(w.header, "__metadata__"), "format", "pt");
    json_object_foreach(w.header, name, entry)
    { /* in the order of the file */
        if (strcmp(name, "__metadata__") == 0)
            continue;
        assert_true(strcmp(last, name) < 0);
        assert_int_equal(offset_of(entry, 0), end);
        int64_t bytes = 4;
        for (size_t a = 0; a < json_array_size(json_object_get(entry, "shape")); a++)
            bytes *= json_integer_value(json_array_get(json_object_get(entry, "shape"), a));
        end = offset_of(entry, 1);
        assert_int_equal(end - offset_of(entry, 0), bytes);
        last = name;
    }
    assert_int_equal(w.start + (size_t)end, w.size);
    assert_int_equal(json_object_size(w.header), 1 + 3 + 2 * 9);
    weights_release(&w);
}

static void weights_stand_under_the_names_that_transformers_reads(void **state)
{
    struct fixture *f = *state;
    const char *const parts[][2] = {{"self_attn.q_proj", "q"}, {"self_attn.k_proj", "k"},
                                    {"self_attn.v_proj", "v"}, {"self_attn.o_proj", "o"},
                                    {"mlp.gate_proj", "gate"}, {"mlp.up_proj", "up"},
                                    {"mlp.down_proj", "down"}};
    write_model(f, &grouped, &plain);
    struct weights w = read_weights(f);
    for (int layer = 0; layer < 2; layer++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            char theirs[96], ours[64];
            snprintf(theirs, sizeof theirs, "model.layers.%d.%s.weight", layer, parts[i][0]);
            snprintf(ours, sizeof ours, "layers.%d.%s", layer, parts[i][1]);
            assert_weight(&w, theirs, f->graph, ours, 1);
        }
    assert_weight(&w, "model.embed_tokens.weight", f->graph, "embed", 1);
    assert_weight(&w, "model.norm.weight", f->graph, "norm", 1);
    assert_weight(&w, "lm_head.weight", f->graph, "head", 1);
    weights_release(&w);
}

static void config_has_the_sizes(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.theta = 500000;
    const struct emit_hf_options options = {.bos = 1, .eos = -1, .context = 777};
    write_model(f, &shape, &options);
    json_t *config = read_json(f, "config.json");
    assert_text(config, "model_type", "llama");
    assert_string_equal(json_string_value(json_array_get(json_object_get(config, "architectures"), 0)),
                        "LlamaForCausalLM");
    assert_number(config, "hidden_size", 24);
    assert_number(config, "intermediate_size", 43);
    assert_number(config, "num_hidden_layers", 2);
    assert_number(config, "num_attention_heads", 4);
    assert_number(config, "num_key_value_heads", 2);
    assert_number(config, "head_dim", 6);
    assert_number(config, "vocab_size", 50);
    assert_number(config, "max_position_embeddings", 777);
    assert_number(config, "rms_norm_eps", 1e-5);
    assert_number(config, "rope_theta", 500000);
    assert_number(config, "bos_token_id", 1);
    assert_true(json_is_null(json_object_get(config, "eos_token_id")));
    assert_true(json_is_false(json_object_get(config, "tie_word_embeddings")));
    assert_true(json_is_false(json_object_get(config, "attention_bias")));
    json_decref(config);
}

static void tied_head_is_left_out(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.tied = true;
    write_model(f, &shape, &plain);
    json_t *config = read_json(f, "config.json");
    struct weights w = read_weights(f);
    assert_true(json_is_true(json_object_get(config, "tie_word_embeddings")));
    assert_null(json_object_get(w.header, "lm_head.weight"));
    weights_release(&w);
    json_decref(config);
}

static void hidden_size_that_heads_do_not_divide_becomes_mistral(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.hidden = 25;
    write_model(f, &shape, &plain);
    json_t *config = read_json(f, "config.json");
    assert_text(config, "model_type", "mistral");
    assert_true(json_is_null(json_object_get(config, "sliding_window")));
    assert_number(config, "head_dim", 6);
    json_decref(config);
}

/* Whoever reads node `n` reads its input `slot` instead. */
static void skip_node(struct graph *g, uint32_t n, uint32_t slot)
{
    uint32_t skipped = g->nodes.items[n].results[0], instead = g->nodes.items[n].inputs[slot];
    for (uint32_t i = n + 1; i < g->nodes.count; i++)
        for (uint32_t k = 0; k < g->nodes.items[i].input_count; k++)
            if (g->nodes.items[i].inputs[k] == skipped)
                g->nodes.items[i].inputs[k] = instead;
}

static void absent_biases_are_zeros_where_others_are_there(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.biased = true;
    struct graph *g = f->graph = model_create(&shape);
    for (uint32_t i = 0; i < g->nodes.count; i++) {
        const struct value *v = graph_value(g, g->nodes.items[i].inputs[g->nodes.items[i].input_count - 1]);
        if (v->origin == VALUE_TENSOR && str_is(g->tensors.items[v->source].name, "layers.1.k_bias"))
            skip_node(g, i, 0);
    }
    assert_ok(emit_hf(&f->emitted, f->path, g, &plain, &f->trace), &f->trace);
    json_t *config = read_json(f, "config.json");
    struct weights w = read_weights(f);
    assert_text(config, "model_type", "qwen2");
    assert_weight(&w, "model.layers.1.self_attn.q_proj.bias", g, "layers.1.q_bias", 1);
    assert_weight(&w, "model.layers.0.self_attn.k_proj.bias", g, "layers.0.k_bias", 1);
    const json_t *entry = json_object_get(w.header, "model.layers.1.self_attn.k_proj.bias");
    assert_int_equal(offset_of(entry, 1) - offset_of(entry, 0), 12 * 4);
    for (int64_t i = offset_of(entry, 0); i < offset_of(entry, 1); i++)
        assert_int_equal(w.bytes[w.start + (size_t)i], 0);
    assert_null(json_object_get(w.header, "model.layers.1.self_attn.o_proj.bias"));
    weights_release(&w);
    json_decref(config);
}

static void unusual_attention_scale_moves_into_the_queries(void **state)
{
    struct fixture *f = *state;
    const struct model_shape shape = {1, 8, 2, 1, 4, 16, 20, .biased = true, .scale = 1};
    write_model(f, &shape, &plain);
    struct weights w = read_weights(f); /* transformers divides by sqrt(4) */
    assert_weight(&w, "model.layers.0.self_attn.q_proj.weight", f->graph, "layers.0.q", 2);
    assert_weight(&w, "model.layers.0.self_attn.q_proj.bias", f->graph, "layers.0.q_bias", 2);
    assert_weight(&w, "model.layers.0.self_attn.k_proj.weight", f->graph, "layers.0.k", 1);
    weights_release(&w);
}

/* ---- the tokenizer ---- */

static void tokenizer_is_written_as_it_is_and_its_tokens_are_named(void **state)
{
    struct fixture *f = *state;
    const struct emit_hf_options options = {
        .tokenizer_json = STR("{\"added_tokens\":[{\"id\":1,\"content\":\"<s>\"}],"
                              "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"</s> \\\"\":2}}}"),
        .bos = 1,
        .eos = 2};
    size_t size;
    write_model(f, &grouped, &options);
    uint8_t *bytes = model_read_file(f->path, "tokenizer.json", &size);
    assert_int_equal(size, options.tokenizer_json.length);
    assert_memory_equal(bytes, options.tokenizer_json.data, size);
    free(bytes);
    json_t *config = read_json(f, "tokenizer_config.json");
    assert_text(config, "tokenizer_class", "PreTrainedTokenizerFast");
    assert_text(config, "bos_token", "<s>");
    assert_text(config, "eos_token", "</s> \"");
    json_decref(config);
    assert_int_equal(f->emitted.files.count, 4);
}

static void token_that_the_tokenizer_lacks_is_refused(void **state)
{
    struct fixture *f = *state;
    struct emit_hf_options options = {
        .tokenizer_json = STR("{\"model\":{\"vocab\":{}}}"), .bos = -1, .eos = 5};
    f->graph = model_create(&grouped);
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &options, &f->trace), INVALID, &f->trace,
                 "no token 5");
    options.tokenizer_json = STR("{\"model\":");
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &options, &f->trace), INVALID, &f->trace,
                 "tokenizer.json");
    options.tokenizer_json = STR("[]");
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &options, &f->trace), INVALID, &f->trace,
                 "an object");
    assert_int_equal(f->emitted.files.count, 0);
    assert_int_equal(rmdir(f->directory), 0); /* nothing half-written is left */
}

/* ---- refusals ---- */

static void layers_of_different_sizes_are_refused(void **state)
{
    struct model_shape shape = grouped;
    shape.last_ffn = 11;
    assert_refused(*state, &shape, "one intermediate_size for all layers");
}

static void biases_and_a_hidden_size_that_heads_do_not_divide_become_qwen2(void **state)
{
    struct fixture *f = *state;
    struct model_shape shape = grouped;
    shape.hidden = 25;
    shape.biased = true;
    write_model(f, &shape, &plain);
    json_t *config = read_json(f, "config.json");
    assert_text(config, "model_type", "qwen2");
    assert_number(config, "head_dim", 6);
    json_decref(config);
}

static void frequencies_that_are_no_powers_are_refused(void **state)
{
    struct fixture *f = *state;
    f->graph = model_create(&grouped);
    for (uint32_t i = 0; i < f->graph->tensors.count; i++)
        if (str_is(f->graph->tensors.items[i].name, "inv_freq"))
            ((float *)(uintptr_t)f->graph->tensors.items[i].view.base)[0] *= 1.25f;
    assert_fails(emit_hf_check(f->graph, EMIT_REFUSES_MISSING, &f->trace), UNSUPPORTED, &f->trace,
                 "no powers of one base");
}

static void layer_without_attention_is_refused_naming_the_node(void **state)
{
    struct fixture *f = *state;
    struct graph *g = f->graph = model_create(&grouped);
    /* Take the second attention's sum out: whoever reads it reads what went into it. */
    uint32_t sums[8], count = 0;
    for (uint32_t i = 0; i < g->nodes.count; i++)
        if (g->nodes.items[i].op == OP_add)
            sums[count++] = i;
    assert_int_equal(count, 4);
    skip_node(g, sums[2], 0);
    assert_fails(emit_hf_check(g, EMIT_REFUSES_MISSING, &f->trace), UNSUPPORTED, &f->trace,
                 "residual attention");
    assert_non_null(strstr(f->trace.text, "(add"));
    assert_ok(emit_onnx_check(g, NULL, &f->trace), &f->trace); /* ONNX holds it */
}

static void graph_that_is_no_language_model_is_refused(void **state)
{
    struct fixture *f = *state;
    struct graph *g = f->graph = graph_create();
    uint32_t axes[2] = {dims_symbol(&g->dims, STR("batch")), dims_symbol(&g->dims, STR("sequence"))};
    uint32_t tokens = build_input(g, "tokens", DTYPE_I32, 2, axes);
    build_output(g, "features", build_binary(g, OP_embed, model_weight(g, "embed", DTYPE_F32, 9, 4), tokens));
    assert_fails(emit_hf_check(g, EMIT_REFUSES_MISSING, &f->trace), UNSUPPORTED, &f->trace,
                 "no output logits");
    g->outputs.items[0].name = STR("logits");
    assert_fails(emit_hf_check(g, EMIT_REFUSES_MISSING, &f->trace), UNSUPPORTED, &f->trace, "(embed)");
}

/* ---- the folder ---- */

static void writing_twice_replaces_with_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    char path[4200];
    write_model(f, &grouped, &plain);
    snprintf(path, sizeof path, "%s///", f->path);
    assert_ok(emit_hf(&f->emitted, path, f->graph, &plain, &f->trace), &f->trace);
    assert_int_equal(f->emitted.files.count, 4);
    for (uint32_t i = 0; i < 2; i++) {
        assert_string_equal(f->emitted.files.items[i].name, f->emitted.files.items[i + 2].name);
        assert_string_equal(f->emitted.files.items[i].sha256, f->emitted.files.items[i + 2].sha256);
    }
    assert_ok(directory_remove(f->path, &f->trace), &f->trace);
    assert_int_equal(rmdir(f->directory), 0); /* there was nothing else in it */
}

static void tokenizer_of_an_earlier_export_does_not_stay(void **state)
{
    struct fixture *f = *state;
    const struct emit_hf_options options = {.tokenizer_json = STR("{\"model\":{}}"), .bos = -1, .eos = -1};
    char path[4200];
    write_model(f, &grouped, &options);
    snprintf(path, sizeof path, "%s/tokenizer.json", f->path);
    assert_true(file_exists(path));
    assert_ok(emit_hf(&f->emitted, f->path, f->graph, &plain, &f->trace), &f->trace);
    assert_false(file_exists(path));
}

static void folder_with_other_files_is_kept(void **state)
{
    struct fixture *f = *state;
    char path[4200];
    f->graph = model_create(&grouped);
    assert_ok(directory_create(f->path, &f->trace), &f->trace);
    snprintf(path, sizeof path, "%s/thesis.tex", f->path);
    assert_ok(file_write(path, "x", 1, &f->trace), &f->trace);
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &plain, &f->trace), INVALID, &f->trace,
                 "thesis.tex");
    assert_true(file_exists(path));
    snprintf(path, sizeof path, "%s/config.json", f->path);
    assert_false(file_exists(path));
}

static void file_in_the_place_is_kept(void **state)
{
    struct fixture *f = *state;
    char path[4200];
    f->graph = model_create(&grouped);
    assert_ok(file_write(f->path, "x", 1, &f->trace), &f->trace);
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &plain, &f->trace), INVALID, &f->trace, "folder");
    snprintf(path, sizeof path, "%s/below", f->path);
    assert_fails(emit_hf(&f->emitted, path, f->graph, &plain, &f->trace), IO, &f->trace, "create");
}

static void read_only_directory_is_an_io_error(void **state)
{
    struct fixture *f = *state;
    if (geteuid() == 0) /* nothing is read-only for root */
        skip();
    f->graph = model_create(&grouped);
    chmod(f->directory, 0555);
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &plain, &f->trace), IO, &f->trace, "model.tmp");
    chmod(f->directory, 0755);
}

static void failure_in_the_middle_leaves_the_old_folder(void **state)
{
    struct fixture *f = *state;
    write_model(f, &grouped, &plain);
    struct stat before, after;
    char path[4200];
    snprintf(path, sizeof path, "%s/model.safetensors", f->path);
    assert_int_equal(stat(path, &before), 0);
    for (uint32_t i = 0; i < f->graph->tensors.count; i++)
        if (str_is(f->graph->tensors.items[i].name, "layers.1.up"))
            f->graph->tensors.items[i].view.base = NULL;
    assert_fails(emit_hf(&f->emitted, f->path, f->graph, &plain, &f->trace), INVALID, &f->trace,
                 "model.layers.1.mlp.up_proj.weight");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_ok(directory_remove(f->path, &f->trace), &f->trace);
    assert_int_equal(rmdir(f->directory), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(weights_follow_the_rules_of_the_format),
        TEST(weights_stand_under_the_names_that_transformers_reads),
        TEST(config_has_the_sizes),
        TEST(tied_head_is_left_out),
        TEST(hidden_size_that_heads_do_not_divide_becomes_mistral),
        TEST(absent_biases_are_zeros_where_others_are_there),
        TEST(unusual_attention_scale_moves_into_the_queries),
        TEST(tokenizer_is_written_as_it_is_and_its_tokens_are_named),
        TEST(token_that_the_tokenizer_lacks_is_refused),
        TEST(layers_of_different_sizes_are_refused),
        TEST(biases_and_a_hidden_size_that_heads_do_not_divide_become_qwen2),
        TEST(frequencies_that_are_no_powers_are_refused),
        TEST(layer_without_attention_is_refused_naming_the_node),
        TEST(graph_that_is_no_language_model_is_refused),
        TEST(writing_twice_replaces_with_the_same_bytes),
        TEST(tokenizer_of_an_earlier_export_does_not_stay),
        TEST(folder_with_other_files_is_kept),
        TEST(file_in_the_place_is_kept),
        TEST(read_only_directory_is_an_io_error),
        TEST(failure_in_the_middle_leaves_the_old_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
