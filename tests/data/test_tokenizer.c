/* data/tokenizer.c and tokenizer_encode.c against what Hugging Face's library gives (tokenizers/README.md).
 */
#include "base/file.h"
#include "data/tokenizer.h"
#include "tests/support/test.h"
#include <jansson.h>

static struct tokenizer *open_one(const char *name)
{
    struct trace trace = {0};
    struct tokenizer *t;
    char path[128];
    snprintf(path, sizeof path, "tests/data/tokenizers/%s.json", name);
    assert_ok(tokenizer_open(&t, path, &trace), &trace);
    return t;
}

static void check_case(struct tokenizer *t, const char *name, int line, const json_t *expected)
{
    struct trace trace = {0};
    struct token_list ids = {0};
    const json_t *text = json_object_get(expected, "text"), *wanted = json_object_get(expected, "ids");
    struct str bytes = {json_string_value(text), json_string_length(text)};
    assert_ok(tokenizer_encode(t, bytes, &ids, &trace), &trace);
    if (ids.count != json_array_size(wanted))
        fail_msg("%s line %d: %zu ids instead of %zu", name, line, ids.count, json_array_size(wanted));
    for (size_t i = 0; i < ids.count; i++)
        if (ids.items[i] != json_integer_value(json_array_get(wanted, i)))
            fail_msg("%s line %d: id %zu is %d", name, line, i, ids.items[i]);
    token_list_release(&ids);
}

static void check_cases(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/data/tokenizers/%s.cases.jsonl", name);
    struct tokenizer *t = open_one(name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int line = 0;
    json_t *expected;
    while ((expected = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL))) {
        check_case(t, name, ++line, expected);
        json_decref(expected);
    }
    assert_int_equal(line, 69);
    fclose(file);
    tokenizer_close(t);
}

static void encodes_as_the_reference_library(void **state)
{
    (void)state;
    const char *names[] = {"bytelevel",  "wholewords", "digits",      "metaspace", "prepend",
                           "unfused",    "fused",      "punctuation", "nested",    "possessive",
                           "whitespace", "words",      "stripping",   "trimmed",   "wordends",
                           "byteends",   "continued",  "charsmap",    "prefixed"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_cases(names[i]);
}

/* Where words end is a space, in front of those that begin one where prefixes tell. */
static void decodes_affixes_as_spaces(void **state)
{
    (void)state;
    static const char *const names[] = {"wordends", "byteends", "continued", "prefixed"};
    static const char *const expected[] = {"needs tokenizers , and text ", "needs tokenizers , and text ",
                                           "needs tokenizers , and text ", "needs tokenizers , and text"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct trace trace = {0};
        struct token_list ids = {0};
        struct builder text = {0};
        struct tokenizer *t = open_one(names[i]);
        assert_ok(tokenizer_encode(t, STR("needs tokenizers, and text"), &ids, &trace), &trace);
        assert_ok(tokenizer_decode(t, ids.items, ids.count, &text, &trace), &trace);
        assert_string_equal(builder_text(&text), expected[i]);
        builder_release(&text);
        token_list_release(&ids);
        tokenizer_close(t);
    }
}

static void decodes_what_it_encoded(void **state)
{
    (void)state;
    const char *names[] = {"bytes", "bytelevel", "metaspace", "prepend"};
    const char *texts[] = {"", "the garden", "two  spaces\n\n\tna\xc3\xafve \xf0\x9f\x99\x82 12",
                           "<0x0A> <x> wall's"};
    for (size_t n = 0; n < 4; n++)
        for (size_t i = 0; i < 4; i++) {
            struct trace trace = {0};
            struct tokenizer *t;
            struct token_list ids = {0};
            struct builder back = {0};
            if (n == 0)
                assert_ok(tokenizer_open(&t, "bytes", &trace), &trace);
            else
                t = open_one(names[n]);
            assert_ok(tokenizer_encode(t, str_from(texts[i]), &ids, &trace), &trace);
            assert_ok(tokenizer_decode(t, ids.items, ids.count, &back, &trace), &trace);
            assert_string_equal(builder_text(&back), texts[i]);
            builder_release(&back);
            token_list_release(&ids);
            tokenizer_close(t);
        }
}

static void bytes_takes_any_bytes(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    struct token_list ids = {0};
    unsigned char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)(255 - i);
    assert_ok(tokenizer_open(&t, "bytes", &trace), &trace);
    assert_int_equal(tokenizer_vocabulary(t), 256);
    assert_ok(tokenizer_encode(t, (struct str){(char *)all, 256}, &ids, &trace), &trace);
    assert_int_equal(ids.count, 256);
    for (int i = 0; i < 256; i++)
        assert_int_equal(ids.items[i], 255 - i);
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal(tokenizer_text_length(t, 200), 1);
    token_list_release(&ids);
    tokenizer_close(t);
}

static void bytes_as_a_file_means_the_same(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t, *same;
    struct token_list ids = {0};
    assert_ok(tokenizer_open(&t, "bytes", &trace), &trace);
    assert_ok(tokenizer_open_text(&same, tokenizer_json(t), &trace), &trace);
    assert_true(hash128_equal(tokenizer_hash(t), tokenizer_hash(same)));
    struct str text = STR("Any \n\"text\\\" \xc3\xa9\x7f\x01");
    assert_ok(tokenizer_encode(same, text, &ids, &trace), &trace);
    assert_int_equal(ids.count, text.length);
    for (size_t i = 0; i < ids.count; i++)
        assert_int_equal(ids.items[i], (unsigned char)text.data[i]);
    token_list_release(&ids);
    tokenizer_close(same);
    tokenizer_close(t);
}

static void names_the_offset_of_text_that_is_not_utf8(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct token_list ids = {0};
    struct tokenizer *t = open_one("bytelevel");
    assert_fails(tokenizer_encode(t, STR("good \xc3("), &ids, &trace), INVALID, &trace, "at offset 5");
    token_list_release(&ids);
    tokenizer_close(t);
}

static void knows_the_bounds_of_a_text(void **state)
{
    (void)state;
    struct tokenizer *t = open_one("metaspace");
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_false(tokenizer_puts_bos(t));
    assert_false(tokenizer_puts_eos(t));
    tokenizer_close(t);
    t = open_one("bytelevel");
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal(tokenizer_eos(t), 0);
    assert_int_equal(tokenizer_text_length(t, 0), 0);
    tokenizer_close(t);
    t = open_one("wholewords"); /* its template puts the token in front */
    assert_int_equal(tokenizer_bos(t), 0);
    assert_true(tokenizer_puts_bos(t));
    assert_false(tokenizer_puts_eos(t));
    tokenizer_close(t);
}

static void the_hash_is_that_of_the_file(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct builder file = {0};
    struct tokenizer *t = open_one("fused");
    assert_ok(file_read(&file, "tests/data/tokenizers/fused.json", 1 << 20, &trace), &trace);
    assert_true(hash128_equal(tokenizer_hash(t), hash128_of(file.data, file.length)));
    builder_release(&file);
    tokenizer_close(t);
}

static void refuses_models_it_does_not_match(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    assert_ok(tokenizer_open(&t, "bytes", &trace), &trace);
    assert_ok(tokenizer_check_model(t, 256, "m.onnx", &trace), &trace);
    assert_ok(tokenizer_check_model(t, 320, "m.onnx", &trace), &trace);
    assert_fails(tokenizer_check_model(t, 255, "m.onnx", &trace), INVALID, &trace,
                 "256 ids, m.onnx knows only 255");
    assert_fails(tokenizer_check_model(t, 512, "m.onnx", &trace), INVALID, &trace,
                 "does not match the model");
    tokenizer_close(t);
}

static void refuses_ids_without_token(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    struct builder out = {0};
    assert_ok(tokenizer_open(&t, "bytes", &trace), &trace);
    assert_fails(tokenizer_decode(t, (const int32_t[]){65, 256}, 2, &out, &trace), INVALID, &trace,
                 "token 1");
    assert_fails(tokenizer_decode(t, (const int32_t[]){-1}, 1, &out, &trace), INVALID, &trace, "id -1");
    assert_int_equal(tokenizer_bytes(t, 256).length, 0);
    builder_release(&out);
    tokenizer_close(t);
}

static void says_when_there_is_no_such_file(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    assert_fails(tokenizer_open(&t, "tests/data/none.json", &trace), NOT_FOUND, &trace,
                 "tests/data/none.json");
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_as_the_reference_library),
        cmocka_unit_test(decodes_affixes_as_spaces),
        cmocka_unit_test(decodes_what_it_encoded),
        cmocka_unit_test(bytes_takes_any_bytes),
        cmocka_unit_test(bytes_as_a_file_means_the_same),
        cmocka_unit_test(names_the_offset_of_text_that_is_not_utf8),
        cmocka_unit_test(knows_the_bounds_of_a_text),
        cmocka_unit_test(the_hash_is_that_of_the_file),
        cmocka_unit_test(refuses_models_it_does_not_match),
        cmocka_unit_test(refuses_ids_without_token),
        cmocka_unit_test(says_when_there_is_no_such_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
