/* Keys of GGUF files as llama.cpp means them: files that are written here get other values, other keys or
 * more of them, and are read again. */
#include "emit/emit.h"
#include "ir/hf_architecture.h"
#include "tests/emit/model.h"
#include "tests/frontend/hf_models.h"
#include "tests/support/evaluate.h"
#include <jansson.h>
#include <math.h>

static struct trace trace;

struct subject {
    struct import_fixture f;
    struct imported_model model; /* as the folder has it */
    char *path;                  /* of the GGUF file */
};

static void write_file(struct subject *s)
{
    static const struct emit_gguf_options options = {.bos = -1, .eos = -1};
    struct emitted emitted = {0};
    trace = (struct trace){0};
    assert_ok(frontend_import(&s->model, s->f.directory, NULL, &trace), &trace);
    s->path = path_join(s->f.directory, "model.gguf");
    assert_ok(emit_gguf(&emitted, s->path, s->model.graph, &options, &trace), &trace);
    emitted_release(&emitted);
}

/* `text` with `to` in the place of the first `from`. */
static void add_changed(struct builder *out, const char *text, const char *from, const char *to)
{
    const char *place = strstr(text, from);
    assert_non_null(place);
    builder_printf(out, "%.*s%s%s", (int)(place - text), text, to, place + strlen(from));
}

static const struct hf_model *find_model(const char *name)
{
    const struct hf_model *model = hf_models;
    while (strcmp(model->name, name) != 0)
        model++;
    return model;
}

/* A model of the table in whose configuration `from` becomes `to`. */
static void subject_create(struct subject *s, const char *name, const char *from, const char *to)
{
    struct hf_model model = *find_model(name);
    struct builder config = {0};
    *s = (struct subject){0};
    add_changed(&config, model.config, from, to);
    model.config = builder_text(&config);
    import_fixture_create(&s->f);
    hf_model_write(&s->f, &model, 0);
    write_file(s);
    builder_release(&config);
}

static void subject_release(struct subject *s)
{
    imported_model_release(&s->model);
    import_fixture_release(&s->f);
    free(s->path);
}

/* ---- changing files ---- */

static uint8_t *find_bytes(uint8_t *bytes, size_t size, const char *text)
{
    uint8_t *found = memmem(bytes, size, text, strlen(text));
    assert_non_null(found);
    return found;
}

/* Another key of the same length. */
static void rename_key(struct subject *s, const char *from, const char *to)
{
    size_t size;
    uint8_t *bytes = model_read_file(s->f.directory, "model.gguf", &size);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(find_bytes(bytes, size, from), to, strlen(to));
    import_write_bytes(&s->f, "model.gguf", bytes, size);
    free(bytes);
}

/* Four bytes of a key's value. */
static void change_value(struct subject *s, const char *key, const void *value)
{
    size_t size;
    uint8_t *bytes = model_read_file(s->f.directory, "model.gguf", &size);
    memcpy(find_bytes(bytes, size, key) + strlen(key) + 4, value, 4);
    import_write_bytes(&s->f, "model.gguf", bytes, size);
    free(bytes);
}

static void add_key(struct builder *b, const char *key, uint32_t value)
{
    builder_add(b, (const char *)&(uint64_t){strlen(key)}, 8);
    builder_add_text(b, key);
    builder_add(b, (const char *)&(uint32_t){4}, 4);
    builder_add(b, (const char *)&value, 4);
}

/* A key in front of all others, and one that fills up, so that tensors stay where they are aligned. */
static void insert_key(struct subject *s, const char *key, uint32_t value)
{
    enum { HEAD = 24, ENTRY = 16, ALIGNMENT = 32 };
    static const char filler[] = "general.filler.filler.filler.filler.filler";
    char name[sizeof filler];
    size_t size, most = (2 * ENTRY + strlen(key)) % ALIGNMENT;
    uint8_t *bytes = model_read_file(s->f.directory, "model.gguf", &size);
    struct builder b = {0};
    snprintf(name, sizeof name, "%.*s",
             (int)(ALIGNMENT - most < 10 ? 2 * ALIGNMENT - most : ALIGNMENT - most), filler);
    bytes[16] = (uint8_t)(bytes[16] + 2); /* keys */
    builder_add(&b, (const char *)bytes, HEAD);
    add_key(&b, key, value);
    add_key(&b, name, 0);
    assert_int_equal(b.length % ALIGNMENT, HEAD);
    builder_add(&b, (const char *)bytes + HEAD, size - HEAD);
    import_write_bytes(&s->f, "model.gguf", b.data, b.length);
    builder_release(&b);
    free(bytes);
}

/* ---- windows ---- */

static void expect_windows(const struct subject *s, const char *expected)
{
    struct imported_model again;
    struct builder found = {0};
    trace = (struct trace){0};
    assert_ok(frontend_import(&again, s->path, NULL, &trace), &trace);
    for (uint32_t i = 0; i < again.graph->nodes.count; i++)
        if (again.graph->nodes.items[i].op == OP_attention)
            builder_printf(&found, " %d", (int)node_integer(&again.graph->nodes.items[i], ATTRIBUTE_window));
    assert_string_equal(builder_text(&found), expected);
    builder_release(&found);
    imported_model_release(&again);
}

static void refuse(const struct subject *s, enum status status, const char *words)
{
    struct imported_model again;
    trace = (struct trace){0};
    assert_fails(frontend_import(&again, s->path, NULL, &trace), status, &trace, words);
}

/* Converters write 0 for Phi-4. */
static void a_window_of_0_is_none(void **state)
{
    (void)state;
    static const struct {
        uint32_t value;
        const char *windows; /* NULL: refused */
    } cases[] = {{0, " 0"}, {3, " 3"}, {INT32_MAX, " 2147483647"}, {UINT32_C(1) << 31, NULL}};
    struct subject s;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        subject_create(&s, "phi3", "\"partial_rotary_factor\": 1.0", "\"partial_rotary_factor\": 0.5");
        insert_key(&s, "phi3.attention.sliding_window", cases[i].value);
        if (cases[i].windows)
            expect_windows(&s, cases[i].windows);
        else
            refuse(&s, INVALID, "phi3.attention.sliding_window: expected one integer from 0 to 2147483647");
        subject_release(&s);
    }
    subject_create(&s, "gemma3_text", "gemma3_text", "gemma3_text");
    expect_windows(&s, " 3 0");
    change_value(&s, "gemma3.attention.sliding_window", &(uint32_t){0});
    expect_windows(&s, " 0 0");
    subject_release(&s);
}

/* ---- slopes ---- */

/* Readers take 0 where the key is missing, and the scores do not fall then. */
static void slopes_that_are_not_said_are_none(void **state)
{
    (void)state;
    static const char key[] = "mpt.attention.max_alibi_bias";
    static const float ranges[] = {0, 16, -8, NAN};
    struct subject s;
    struct imported_model again;
    subject_create(&s, "mpt", "mpt", "mpt");
    assert_ok(frontend_import(&again, s.path, NULL, &trace), &trace);
    assert_non_null(import_find_tensor(&again, "layers.0.slopes"));
    imported_model_release(&again);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        change_value(&s, key, &ranges[i]);
        refuse(&s, isnan(ranges[i]) ? INVALID : UNSUPPORTED, key);
    }
    rename_key(&s, key, "general.ion.max_alibi_biases");
    refuse(&s, UNSUPPORTED, "mpt.attention.max_alibi_bias is missing, which means 0, expected 8");
    subject_release(&s);
}

/* ---- the scale of scores ---- */

/* The tensors of the row's layer 0 for each of so many layers. */
static void write_layers(struct import_fixture *f, const struct hf_model *model, int layers)
{
    struct safetensors_maker maker = {0};
    struct builder file = {0};
    float values[96];
    uint32_t at = 1;
    for (size_t t = 0; t < HF_MODEL_TENSORS && model->tensors[t].name; t++) {
        const char *name = model->tensors[t].name, *place = strstr(name, "layers.0.");
        uint32_t rank = model->tensors[t].rank;
        int64_t count = model->tensors[t].dims[0] * (rank > 1 ? model->tensors[t].dims[1] : 1);
        if (strstr(name, "layers.1."))
            continue;
        assert_true(count <= 96);
        for (int layer = 0; layer < (place ? layers : 1); layer++) {
            char full[100], number[20];
            snprintf(number, sizeof number, "layers.%d.", layer);
            snprintf(full, sizeof full, "%.*s%s%s", place ? (int)(place - name) : 0, name,
                     place ? number : "", place ? place + 9 : name);
            for (int64_t i = 0; i < count; i++) {
                at = at * 1664525u + 1013904223u;
                values[i] = (float)(at >> 8) * 0x1p-24f - (rank > 1 ? 0.5f : -0.5f);
            }
            safetensors_add(&maker, full, "F32", rank, model->tensors[t].dims, values,
                            (size_t)count * sizeof *values);
        }
    }
    safetensors_finish(&maker, &file);
    import_write_bytes(f, "model.safetensors", file.data, file.length);
    builder_release(&file);
}

/* Heads of 6 channels, hidden size / heads is 4; the folder says 1 / sqrt(9). */
static void odd_layers_create(struct subject *s, const char *name, int layers)
{
    static const char types[] = "\"layer_types\": [\"sliding_attention\", \"full_attention\"], ";
    struct builder config = {0}, more = {0};
    char count[40];
    *s = (struct subject){0};
    import_fixture_create(&s->f);
    snprintf(count, sizeof count, "\"num_hidden_layers\": %d", layers);
    add_changed(&config, find_model(name)->config, types, "");
    add_changed(&more, builder_text(&config), "\"num_hidden_layers\": 2", count);
    import_write_bytes(&s->f, "config.json", more.data, more.length);
    write_layers(&s->f, find_model(name), layers);
    write_file(s);
    builder_release(&config);
    builder_release(&more);
}

static const struct node *first_attention(const struct graph *graph)
{
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.items[i].op == OP_attention)
            return &graph->nodes.items[i];
    fail_msg("no attention");
    return NULL;
}

static void expect_same_logits(const struct graph *a, const struct graph *b)
{
    double *first = evaluate(a, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
    double *second = evaluate(b, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, hf_model_tokens);
    for (int i = 0; i < HF_MODEL_TOKENS * HF_MODEL_WORDS; i++)
        if (!(fabs(first[i] - second[i]) < 1e-3))
            fail_msg("logit %d is %.9g, expected %.9g", i, second[i], first[i]);
    free(first);
    free(second);
}

/* Gemma 2 of 27B and Gemma 3 of 27B, which readers know by their layers, divide by the root of hidden size /
 * heads; the others by that of a head's size. */
static void so_many_layers_have_a_scale_of_their_own(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int layers, divisor;
    } cases[] = {{"gemma2", 46, 4},
                 {"gemma2", 45, 6},
                 {"gemma2", 62, 6},
                 {"gemma3_text", 62, 4},
                 {"gemma3_text", 46, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct subject s;
        struct imported_model again;
        odd_layers_create(&s, cases[i].name, cases[i].layers);
        assert_ok(frontend_import(&again, s.path, NULL, &trace), &trace);
        assert_float_equal(node_real(first_attention(again.graph), ATTRIBUTE_scale),
                           (float)(1 / sqrt(cases[i].divisor)), 0);
        expect_same_logits(s.model.graph, again.graph);
        imported_model_release(&again);
        subject_release(&s);
    }
}

/* ---- the tokenizer ---- */

static void write_tokenizer(struct subject *s, const char *pre)
{
    struct builder json = {0};
    struct emitted emitted = {0};
    subject_create(s, "llama", "llama", "llama");
    builder_printf(
        &json,
        "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true}],\"pre_tokenizer\":%s,"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"<s>\":0,\"a\":1,\"b\":2,\"ab\":3},\"merges\":[\"a b\"]}}",
        pre);
    struct emit_gguf_options options = {
        .bos = 0, .eos = -1, .tokenizer_json = {builder_text(&json), json.length}};
    assert_ok(emit_gguf(&emitted, s->path, s->model.graph, &options, &trace), &trace);
    emitted_release(&emitted);
    builder_release(&json);
}

static json_t *read_tokenizer(const struct subject *s)
{
    struct imported_model again;
    trace = (struct trace){0};
    assert_ok(frontend_import(&again, s->path, NULL, &trace), &trace);
    json_t *root = json_loadb(again.tokenizer.data, again.tokenizer.length, 0, NULL);
    assert_non_null(root);
    imported_model_release(&again);
    return root;
}

#define SPLIT(pattern) \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}"
#define WORDS "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define LLAMA3                                                                                                        \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[" \
    "\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define STEPS(steps) "{\"type\":\"Sequence\",\"pretokenizers\":[" steps "]}"

/* Steps as published tokenizer.json files have them. */
static void steps_of_pretokenizers_come_back(void **state)
{
    (void)state;
    static const char *const cases[] = {
        STEPS(WORDS),
        STEPS("{\"type\":\"Digits\",\"individual_digits\":true}," WORDS),
        STEPS("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}," WORDS
              ",{\"type\":\"Digits\",\"individual_digits\":false}," SPLIT("[0-9][0-9][0-9]")),
        STEPS(SPLIT(" ?[^(\\\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+") "," BYTES),
        STEPS(SPLIT("\\\\p{N}{1,3}") "," SPLIT("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+") "," SPLIT(
            "[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\\\r\\\\n\\\\p{L}\\\\p{P}\\\\p{S}]?["
            "\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") "," BYTES),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct subject s;
        json_t *expected = json_loads(cases[i], 0, NULL);
        assert_non_null(expected);
        write_tokenizer(&s, cases[i]);
        json_t *root = read_tokenizer(&s);
        if (!json_equal(json_object_get(root, "pre_tokenizer"), expected))
            fail_msg("case %zu: the steps are others", i);
        json_decref(root);
        json_decref(expected);
        subject_release(&s);
    }
}

/* What readers do to text of a file that names no pre-tokenizer, and whether they put its first token in
 * front. */
static void what_is_not_said_is_as_readers_take_it(void **state)
{
    (void)state;
    struct subject s;
    write_tokenizer(&s, STEPS(WORDS));
    rename_key(&s, "tokenizer.ggml.pre", "general.filler.pre");
    json_t *root = read_tokenizer(&s);
    const json_t *steps = json_object_get(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    assert_int_equal(json_array_size(steps), 5);
    const json_t *pattern = json_object_get(json_array_get(steps, 0), "pattern");
    assert_string_equal(json_string_value(json_object_get(pattern, "Regex")), "[\\p{P}\\$\\+<=>\\^~\\|]+");
    json_decref(root);
    subject_release(&s);
    for (int i = 0; i < 2; i++) { /* LLaMA 3's do */
        write_tokenizer(&s, i ? STEPS(SPLIT(LLAMA3) "," BYTES) : STEPS(WORDS));
        rename_key(&s, "tokenizer.ggml.add_bos_token", "general.filler.add_bos_token");
        root = read_tokenizer(&s);
        const json_t *processor = json_object_get(root, "post_processor");
        assert_int_equal(json_is_object(processor), i);
        json_decref(root);
        subject_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_of_0_is_none),
        cmocka_unit_test(slopes_that_are_not_said_are_none),
        cmocka_unit_test(so_many_layers_have_a_scale_of_their_own),
        cmocka_unit_test(steps_of_pretokenizers_come_back),
        cmocka_unit_test(what_is_not_said_is_as_readers_take_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
