/* data/tokenizer_json.c on files that are wrong: every one is an error that names the place. */
#include "base/file.h"
#include "data/tokenizer.h"
#include "tests/support/test.h"

static void expect(enum status status, const char *json, const char *words)
{
    struct trace trace = {0};
    struct tokenizer *t;
    assert_fails(tokenizer_open_text(&t, str_from(json), &trace), status, &trace, words);
    assert_null(t);
}

#define MODEL(vocab, merges) "{\"model\":{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges "}}"
#define WITH(member) "{" member ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}"
#define IN_MODEL(member) "{\"model\":{" member ",\"vocab\":{\"a\":0},\"merges\":[]}}"

static void rejects_what_is_no_tokenizer(void **state)
{
    (void)state;
    expect(INVALID, "", "not valid JSON");
    expect(INVALID, "[]", "expected a JSON object");
    expect(INVALID, "{}", "model: expected an object, found nothing");
    expect(INVALID, "{\"model\":3}", "model: expected an object, found an integer");
    expect(INVALID, "{\"model\":{},\"model\":{}}", "duplicate");
    expect(INVALID, "{\"model\":{\"vocab\":{\"\xff\":1}}}", "not valid JSON");
    expect(UNSUPPORTED, "{\"model\":{\"type\":\"WordPiece\"}}",
           "model.type: expected BPE, found \"WordPiece\"");
    expect(UNSUPPORTED, WITH("\"surprise\":1"), "surprise");
}

static void rejects_wrong_vocabularies(void **state)
{
    (void)state;
    expect(INVALID, MODEL("[]", "[]"), "model.vocab: expected an object, found an array");
    expect(INVALID, MODEL("{}", "[]"), "expected tokens, found none");
    expect(INVALID, MODEL("{\"a\":\"0\"}", "[]"), "model.vocab[\"a\"]");
    expect(INVALID, MODEL("{\"a\":-1}", "[]"), "model.vocab[\"a\"]");
    expect(INVALID, MODEL("{\"a\":1.5}", "[]"), "model.vocab[\"a\"]");
    expect(INVALID, MODEL("{\"a\":4294967296}", "[]"), "found an integer 4294967296");
    expect(INVALID, MODEL("{\"a\":99999999999999999999}", "[]"), "not valid JSON");
    expect(INVALID, MODEL("{\"a\":4000000}", "[]"), "ids reach 4000000, but there are only 1 tokens");
    expect(INVALID, MODEL("{\"a\":1,\"b\":1}", "[]"), "\"a\" and \"b\" have the same id 1");
}

/* A map is a size, a trie of so many bytes, and texts. */
static void rejects_wrong_charsmaps(void **state)
{
    (void)state;
#define CHARSMAP(text) WITH("\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"" text "\"}")
    expect(INVALID, WITH("\"normalizer\":{\"type\":\"Precompiled\"}"), "normalizer.precompiled_charsmap");
    expect(INVALID, CHARSMAP("%%%%"), "expected Base64");
    expect(INVALID, CHARSMAP("AAA"), "expected Base64");
    expect(INVALID, CHARSMAP("A=A="), "expected Base64");
    expect(INVALID, CHARSMAP(""), "a map of 0 bytes");
    expect(INVALID, CHARSMAP("AAAAAA=="), "a map of 4 bytes with a trie of 0");
    expect(INVALID, CHARSMAP("BAAAAA=="), "a map of 4 bytes with a trie of 4");
    expect(INVALID, CHARSMAP("AwAAAAAAAA=="), "a map of 7 bytes with a trie of 3");
    expect(INVALID, CHARSMAP("BAAAAAAAAAD/"), "not UTF-8");
}

/* Tries that are followed for the text "a". */
static void refuses_charsmaps_that_lead_out(void **state)
{
    (void)state;
    static const char *const maps[] = {
        CHARSMAP("BAAAAAD8//8A"),                 /* its one unit leads far out */
        CHARSMAP("CAAAAACAAQBh/f9/eAA="),         /* that of the letter does */
        CHARSMAP("DAAAAACAAQBhDQAA////f3gA"),     /* the leaf's text begins behind all texts */
        CHARSMAP("DAAAAACAAQBhDQAAAQAAAMOpAA=="), /* and in the middle of a character */
    };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        struct tokenizer *t;
        struct trace trace = {0};
        struct token_list ids = {0};
        assert_ok(tokenizer_open_text(&t, str_from(maps[i]), &trace), &trace);
        assert_fails(tokenizer_encode(t, STR("a"), &ids, &trace), INVALID, &trace, "leads out of itself");
        token_list_release(&ids);
        tokenizer_close(t);
    }
}

static void rejects_wrong_merges(void **state)
{
    (void)state;
    expect(
        INVALID,
        "{\"model\":{\"continuing_subword_prefix\":\"##\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}",
        "model.merges[0]: \"b\" does not begin with the prefix \"##\"");
    expect(INVALID, MODEL("{\"a\":0}", "{}"), "model.merges: expected an array");
    expect(INVALID, MODEL("{\"a\":0}", "[1]"), "model.merges[0]");
    expect(INVALID, MODEL("{\"a\":0}", "[\"a\"]"), "model.merges[0]: expected two parts");
    expect(INVALID, MODEL("{\"a\":0}", "[\"a a a\"]"), "model.merges[0]: expected two parts");
    expect(INVALID, MODEL("{\"a\":0}", "[[\"a\"]]"), "model.merges[0]");
    expect(INVALID, MODEL("{\"a\":0}", "[[\"a\",2]]"), "model.merges[0]");
    expect(INVALID, MODEL("{\"a\":0}", "[[\"a\",\"\"]]"), "model.merges[0]");
    expect(INVALID, MODEL("{\"a\":0}", "[\"a b\"]"), "\"b\" is not in model.vocab");
    expect(INVALID, MODEL("{\"a\":0}", "[\"x a\"]"), "\"x\" is not in model.vocab");
    expect(INVALID, MODEL("{\"a\":0}", "[\"a a\"]"), "result \"aa\" is not in model.vocab");
}

static void rejects_model_options_it_does_not_follow(void **state)
{
    (void)state;
    expect(UNSUPPORTED, IN_MODEL("\"dropout\":0.1"), "model.dropout");
    expect(UNSUPPORTED, IN_MODEL("\"max_input_chars\":3"), "model.max_input_chars");
    expect(INVALID, IN_MODEL("\"unk_token\":\"<unk>\""), "model.unk_token");
    expect(INVALID, IN_MODEL("\"unk_token\":0"), "model.unk_token: expected a string, found an integer");
    expect(INVALID, IN_MODEL("\"byte_fallback\":\"yes\""), "model.byte_fallback: expected a boolean");
}

static void rejects_normalizers_it_does_not_know(void **state)
{
    (void)state;
    expect(UNSUPPORTED, WITH("\"normalizer\":{\"type\":\"Nmt\"}"), "normalizer.type: \"Nmt\"");
    expect(INVALID, WITH("\"normalizer\":[]"), "normalizer: expected an object");
    expect(UNSUPPORTED, WITH("\"normalizer\":{\"type\":\"NFC\",\"more\":1}"), "normalizer.more");
    expect(INVALID, WITH("\"normalizer\":{\"type\":\"Prepend\"}"), "normalizer.prepend");
    expect(INVALID, WITH("\"normalizer\":{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}"),
           "normalizer.pattern");
    expect(INVALID,
           WITH("\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}"),
           "normalizer.pattern");
    expect(UNSUPPORTED, WITH("\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Nmt\"}]}"),
           "normalizer.normalizers[0].type: \"Nmt\"");
}

static void rejects_pre_tokenizers_it_does_not_know(void **state)
{
    (void)state;
    expect(UNSUPPORTED, WITH("\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"),
           "pre_tokenizer.type: \"BertPreTokenizer\"");
    expect(
        UNSUPPORTED,
        WITH(
            "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Metaspace\"}]}"),
        "pre_tokenizer.pretokenizers[1]: Metaspace after ByteLevel");
    expect(UNSUPPORTED, WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"often\"}"),
           "\"often\"");
    expect(INVALID, WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"),
           "one character");
    expect(INVALID, WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\"}"), "one character");
    expect(
        UNSUPPORTED,
        WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Lost\"}"),
        "Lost");
}

static void rejects_wrong_added_tokens(void **state)
{
    (void)state;
    expect(INVALID, WITH("\"added_tokens\":{}"), "added_tokens: expected an array");
    expect(INVALID, WITH("\"added_tokens\":[3]"), "added_tokens[0]: expected an object");
    expect(INVALID, WITH("\"added_tokens\":[{\"id\":1}]"), "added_tokens[0].content");
    expect(INVALID, WITH("\"added_tokens\":[{\"id\":1,\"content\":\"\"}]"), "added_tokens[0].content");
    expect(INVALID, WITH("\"added_tokens\":[{\"id\":-1,\"content\":\"x\"}]"), "added_tokens[0].id");
    expect(INVALID, WITH("\"added_tokens\":[{\"id\":4194304,\"content\":\"x\"}]"), "added_tokens[0].id");
    expect(INVALID, WITH("\"added_tokens\":[{\"id\":0,\"content\":\"x\"}]"), "contradicts model.vocab");
    expect(INVALID, WITH("\"added_tokens\":[{\"id\":2,\"content\":\"a\"}]"), "contradicts model.vocab");
    expect(INVALID, WITH("\"added_tokens\":[{\"id\":1,\"content\":\"x\",\"single_word\":1}]"), "single_word");
}

static void rejects_deep_nesting(void **state)
{
    (void)state;
    struct builder b = {0};
    for (int i = 0; i < 100000; i++)
        builder_add_text(&b, "[");
    expect(INVALID, builder_text(&b), "not valid JSON");
    builder_clear(&b);
    builder_add_text(&b, "{\"normalizer\":");
    for (int i = 0; i < 100; i++)
        builder_add_text(&b, "{\"type\":\"Sequence\",\"normalizers\":[");
    builder_add_text(&b, "{\"type\":\"NFC\"}");
    for (int i = 0; i < 100; i++)
        builder_add_text(&b, "]}");
    builder_add_text(&b, ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}");
    expect(UNSUPPORTED, builder_text(&b), "deep");
    builder_release(&b);
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct builder file = {0};
    struct tokenizer *t;
    assert_ok(file_read(&file, "tests/data/tokenizers/wholewords.json", 1 << 20, &trace), &trace);
    for (size_t length = 0; length + 2 < file.length; length += 13)
        assert_fails(tokenizer_open_text(&t, (struct str){file.data, length}, &trace), INVALID, &trace,
                     "JSON");
    builder_release(&file);
}

/* Whatever one byte becomes, reading ends in a tokenizer that works or in an error. */
static void change_bytes(const char *path)
{
    struct trace trace = {0};
    struct builder file = {0};
    uint32_t seed = 5;
    int accepted = 0;
    assert_ok(file_read(&file, path, 1 << 20, &trace), &trace);
    for (int trial = 0; trial < 3000; trial++) {
        seed = seed * 1664525u + 1013904223u;
        size_t at = (seed >> 8) % file.length;
        char before = file.data[at];
        file.data[at] = "\"{}[]:,0n-e\\ x"[seed % 14];
        struct tokenizer *t;
        if (tokenizer_open_text(&t, (struct str){file.data, file.length}, &trace) == OK) {
            struct token_list ids = {0};
            if (tokenizer_encode(t, STR("the garden \xe6\xbc\xa2 x"), &ids, &trace) == OK)
                for (size_t i = 0; i < ids.count; i++)
                    assert_true((uint32_t)ids.items[i] < tokenizer_vocabulary(t));
            accepted++;
            token_list_release(&ids);
            tokenizer_close(t);
        }
        file.data[at] = before;
    }
    assert_true(accepted > 0);
    builder_release(&file);
}

static void changed_bytes_never_crash(void **state)
{
    (void)state;
    change_bytes("tests/data/tokenizers/metaspace.json");
    change_bytes("tests/data/tokenizers/continued.json");
    change_bytes("tests/data/tokenizers/charsmap.json");
}

static void ids_may_have_holes(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    struct builder out = {0};
    assert_ok(tokenizer_open_text(&t, STR(MODEL("{\"a\":0,\"b\":7}", "[]")), &trace), &trace);
    assert_int_equal(tokenizer_vocabulary(t), 8);
    assert_fails(tokenizer_decode(t, (const int32_t[]){3}, 1, &out, &trace), INVALID, &trace, "id 3");
    builder_release(&out);
    tokenizer_close(t);
}

static void a_character_without_token_is_an_error(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    struct token_list ids = {0};
    assert_ok(tokenizer_open_text(&t, STR(MODEL("{\"a\":0}", "[]")), &trace), &trace);
    assert_fails(tokenizer_encode(t, STR("a\xc3\xa9"), &ids, &trace), INVALID, &trace, "U+00E9");
    token_list_release(&ids);
    tokenizer_close(t);
}

static void endless_backtracking_is_an_error(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    struct token_list ids = {0};
    assert_ok(
        tokenizer_open_text(
            &t,
            STR(WITH(
                "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a|aa)+$\"},\"behavior\":"
                "\"Isolated\"}")),
            &trace),
        &trace);
    assert_fails(tokenizer_encode(t, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"),
                                  &ids, &trace),
                 UNSUPPORTED, &trace, "searching for a tokenizer's pattern");
    token_list_release(&ids);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rejects_what_is_no_tokenizer),
        cmocka_unit_test(rejects_wrong_vocabularies),
        cmocka_unit_test(rejects_wrong_charsmaps),
        cmocka_unit_test(refuses_charsmaps_that_lead_out),
        cmocka_unit_test(rejects_wrong_merges),
        cmocka_unit_test(rejects_model_options_it_does_not_follow),
        cmocka_unit_test(rejects_normalizers_it_does_not_know),
        cmocka_unit_test(rejects_pre_tokenizers_it_does_not_know),
        cmocka_unit_test(rejects_wrong_added_tokens),
        cmocka_unit_test(rejects_deep_nesting),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(changed_bytes_never_crash),
        cmocka_unit_test(ids_may_have_holes),
        cmocka_unit_test(a_character_without_token_is_an_error),
        cmocka_unit_test(endless_backtracking_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
