/* What an ONNX file takes and gives besides tokens and logits, and what it says of itself: remembered where
 * an export can have it again, else named in a note. */
#include "frontend/metadata.h"
#include "tests/frontend/hf_folder.h"

struct subject {
    struct import_fixture f;
    struct imported_model model;
    struct builder bytes;
    struct trace trace;
};

/* Two layers with 2 key-value heads of 4 channels, and their cache. */
static void subject_write(struct subject *s)
{
    struct onnx_llama model = onnx_llama_default();
    struct onnx_writer w = {0};
    *s = (struct subject){0};
    import_fixture_create(&s->f);
    model.cache = true;
    onnx_llama_write(&w, &model);
    onnx_finish(&w, &s->bytes);
    onnx_writer_release(&w);
}

static void subject_import(struct subject *s)
{
    import_write_bytes(&s->f, "model.onnx", s->bytes.data, s->bytes.length);
    assert_ok(frontend_import_onnx(&s->model, s->f.path, NULL, &s->trace), &s->trace);
}

static void subject_release(struct subject *s)
{
    builder_release(&s->bytes);
    imported_model_release(&s->model);
    import_fixture_release(&s->f);
}

/* The same bytes with a name replaced by another of its length, everywhere. */
static void rename_all(struct subject *s, const char *from, const char *to)
{
    size_t length = strlen(from), count = 0;
    assert_int_equal(length, strlen(to));
    for (char *at = s->bytes.data;
         (at = memmem(at, s->bytes.length - (size_t)(at - s->bytes.data), from, length));
         at += length, count++)
        memcpy(at, to, length);
    assert_true(count > 0);
}

static void assert_interface(const struct subject *s, const char *expected)
{
    struct builder text = {0};
    interface_print(&s->model.graph->interface, &text);
    assert_string_equal(builder_text(&text), expected);
    builder_release(&text);
}

#define USUAL_INPUTS "interface mask attention_mask int64\ninterface positions position_ids int64 2\n"

static void names_are_kept_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *expected;
    } cases[] = {
        {"past_key_values.", "past_key_values.",
         "past_key_values.%.key past_key_values.%.value present.%.key present.%.value"},
        {"past_key_values.", "layers/kv_cache/",
         "layers/kv_cache/%.key layers/kv_cache/%.value present.%.key present.%.value"},
        {"present.", "state_2_",
         "past_key_values.%.key past_key_values.%.value present.%.key present.%.value"},
        {"present.", "new kv..",
         "past_key_values.%.key past_key_values.%.value present.%.key present.%.value"},
        {"present.", "handed..",
         "past_key_values.%.key past_key_values.%.value handed..%.key handed..%.value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[512];
        struct subject s;
        subject_write(&s);
        rename_all(&s, cases[i].from, cases[i].to);
        subject_import(&s);
        snprintf(expected, sizeof expected, USUAL_INPUTS "interface cache %s bnsh bnsh\n", cases[i].expected);
        assert_interface(&s, expected);
        assert_true(import_has_note(&s.model, "took the 4 inputs of the key-value cache as empty"));
        subject_release(&s);
    }
}

static void a_cache_that_is_not_understood_is_dropped_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *why;
    } cases[] = {
        {"past_key_values.1.key", "past_key_values.2.key", "its layers are not counted from 0"},
        {"past_key_values.1.key", "past_key_values_1.key", "differ in more than a number"},
        {"past_key_values.0.value", "past_key_values.0.thing", "are not keys and values"},
        {"past_key_values.1.value", "past_key_values.x.value", "with a number in their names"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct subject s;
        subject_write(&s);
        rename_all(&s, cases[i].from, cases[i].to);
        subject_import(&s);
        assert_interface(&s, USUAL_INPUTS);
        assert_true(import_has_note(&s.model, "the 4 inputs of the key-value cache are dropped"));
        assert_true(import_has_note(&s.model, cases[i].why));
        subject_release(&s);
    }
}

static void names_that_no_text_can_hold_become_the_usual_ones(void **state)
{
    (void)state;
    struct subject s;
    subject_write(&s);
    rename_all(&s, "attention_mask", "attention mask");
    subject_import(&s);
    assert_memory_equal(s.model.graph->interface.mask.name.data, "attention_mask", 15);
    subject_release(&s);
}

/* ---- how learned positions are numbered ---- */

enum numbering { BY_SHAPE_OF_TOKENS, BY_SHAPE_OF_MASK, BY_COUNT, BY_INPUT, BY_SHAPE_AND_COUNT };

static void add_weight(struct onnx_writer *w, const char *name, int64_t rows, int64_t columns)
{
    int64_t dims[2] = {rows, columns};
    float *values = onnx_llama_weight(name, rows * columns);
    onnx_tensor(w, name, ONNX_TEST_FLOAT, 2, dims, values, (size_t)(rows * columns) * sizeof *values);
    free(values);
}

/* 0, 1, ... over the second axis of `of`, [1, sequence]. */
static const char *numbers_over(struct onnx_writer *w, const char *of)
{
    onnx_attribute_int(w, "axis", 0);
    const char *length = onnx_op(w, "Gather", onnx_op(w, "Shape", of, NULL), onnx_const_index(w, 1), NULL);
    const char *ids = onnx_op(w, "Range", onnx_const_index(w, 0), length, onnx_const_index(w, 1), NULL);
    return onnx_op(w, "Unsqueeze", ids, onnx_const_int(w, 0), NULL);
}

/* Of the tokens that the mask shows, as OPT's exports have it. */
static const char *count_of_shown(struct onnx_writer *w)
{
    const char *count = onnx_op(w, "CumSum", "attention_mask", onnx_const_index(w, 1), NULL);
    count = onnx_op(w, "Mul", count, "attention_mask", NULL);
    return onnx_op(w, "Sub", count, onnx_const_index(w, 1), NULL);
}

static const char *positions_of(struct onnx_writer *w, enum numbering numbering)
{
    switch (numbering) {
    case BY_COUNT:
        return count_of_shown(w);
    case BY_INPUT:
        return "position_ids";
    case BY_SHAPE_OF_MASK:
        return numbers_over(w, "attention_mask");
    default:
        return numbers_over(w, "input_ids");
    }
}

/* Embedding, one or two tables of positions, and a head. */
static void import_numbered(struct subject *s, enum numbering numbering)
{
    struct onnx_writer w = {.opset = 17};
    const char *logits = "logits";
    *s = (struct subject){0};
    import_fixture_create(&s->f);
    onnx_input(&w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    onnx_input(&w, "attention_mask", ONNX_TEST_INT64, "batch sequence");
    if (numbering == BY_INPUT)
        onnx_input(&w, "position_ids", ONNX_TEST_INT64, "batch sequence");
    add_weight(&w, "table", 7, 6);
    add_weight(&w, "wpe", 16, 6);
    add_weight(&w, "more", 16, 6);
    add_weight(&w, "head", 6, 7);
    const char *x = onnx_op(&w, "Gather", "table", "input_ids", NULL);
    const char *rows = onnx_op(&w, "Gather", "wpe", positions_of(&w, numbering), NULL);
    x = onnx_op(&w, "Add", x, rows, NULL);
    if (numbering == BY_SHAPE_AND_COUNT)
        x = onnx_op(&w, "Add", x, onnx_op(&w, "Gather", "more", count_of_shown(&w), NULL), NULL);
    onnx_op_named(&w, "MatMul", 1, &logits, 2, (const char *[]){x, "head"});
    onnx_output(&w, "logits");
    onnx_finish(&w, &s->bytes);
    onnx_writer_release(&w);
    subject_import(s);
}

static void positions_that_do_not_depend_on_the_mask_number_hidden_tokens(void **state)
{
    (void)state;
    static const char *const expected[] = {
        [BY_SHAPE_OF_TOKENS] = "interface mask attention_mask int64 numbers_hidden\n",
        [BY_SHAPE_OF_MASK] = "interface mask attention_mask int64 numbers_hidden\n",
        [BY_COUNT] = "interface mask attention_mask int64\n",
        [BY_INPUT] = USUAL_INPUTS,
        [BY_SHAPE_AND_COUNT] = "interface mask attention_mask int64\n",
    };
    for (int i = BY_SHAPE_OF_TOKENS; i <= BY_SHAPE_AND_COUNT; i++) {
        struct subject s;
        import_numbered(&s, (enum numbering)i);
        assert_interface(&s, expected[i]);
        assert_int_equal(
            import_has_note(&s.model, "some learned positions count what 'attention_mask' shows"),
            i == BY_SHAPE_AND_COUNT);
        subject_release(&s);
    }
}

/* ---- metadata ---- */

static void add_property(struct builder *bytes, const char *key, const void *text, size_t length)
{
    struct builder property = {0};
    proto_text(&property, 1, key);
    proto_bytes(&property, 2, text, length);
    proto_bytes(bytes, 14, property.data, property.length);
    builder_release(&property);
}

static void what_a_file_says_of_its_model_is_kept_or_named(void **state)
{
    (void)state;
    struct subject s;
    char *long_text = calloc(1, 70000);
    memset(long_text, 'x', 69999);
    subject_write(&s);
    proto_text(&s.bytes, 3, "1.5");
    proto_text(&s.bytes, 4, "org.example");
    proto_integer(&s.bytes, 5, 12);
    proto_text(&s.bytes, 6, "Two\nlines.");
    add_property(&s.bytes, "license", "MIT", 3);
    add_property(&s.bytes, "license", "another", 7); /* the first stays */
    add_property(&s.bytes, "broken", "\xff\xfe", 2);
    add_property(&s.bytes, "long", long_text, 69999);
    for (int i = 0; i < 3000; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%d", i);
        add_property(&s.bytes, key, "x", 1);
    }
    subject_import(&s);
    const struct metadata *m = &s.model.graph->metadata;
    assert_int_equal(m->entries.count, METADATA_MAX_ENTRIES);
    for (uint32_t i = 0; i < s.model.notes.count; i++)
        assert_true(s.model.notes.items[i].length < 1500);
    assert_true(str_is(metadata_find(m, "license"), "MIT"));
    assert_true(str_is(metadata_find(m, METADATA_DOCUMENTATION), "Two\nlines."));
    assert_true(str_is(metadata_find(m, METADATA_DOMAIN), "org.example"));
    assert_true(str_is(metadata_find(m, METADATA_VERSION), "12"));
    assert_true(import_has_note(
        &s.model, "metadata kept: onnx.doc_string, onnx.domain, onnx.model_version, license, key-0"));
    assert_true(import_has_note(
        &s.model,
        "dropped: producer test 1.5, license (again), broken (no text), long (too long), key-1020 (one too many), "));
    subject_release(&s);
    free(long_text);
}

static void a_folder_names_the_files_that_are_not_carried_over(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    struct import_fixture f;
    struct imported_model imported;
    struct trace trace = {0};
    import_fixture_create(&f);
    hf_folder_write(&f, &model, ONE_FILE);
    import_write_bytes(&f, "README.md", "x", 1);
    import_write_bytes(&f, "generation_config.json", "{}", 2);
    assert_ok(frontend_import(&imported, f.directory, NULL, &trace), &trace);
    assert_true(import_has_note(&imported, "metadata dropped: README.md, generation_config.json"));
    imported_model_release(&imported);
    import_fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_kept_as_they_are),
        cmocka_unit_test(a_cache_that_is_not_understood_is_dropped_with_the_reason),
        cmocka_unit_test(names_that_no_text_can_hold_become_the_usual_ones),
        cmocka_unit_test(positions_that_do_not_depend_on_the_mask_number_hidden_tokens),
        cmocka_unit_test(what_a_file_says_of_its_model_is_kept_or_named),
        cmocka_unit_test(a_folder_names_the_files_that_are_not_carried_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
