/* data/corpus.c and documents.c: text and JSON-lines become one stream, with and without a store. */
#include "base/file.h"
#include "data/corpus.h"
#include "store/object.h"
#include "tests/support/test.h"

struct place {
    char *directory, *text, *store;
    struct tokenizer *bytes, *pieces;
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    struct trace trace = {0};
    p->directory = test_directory_create();
    p->text = path_join(p->directory, "text");
    p->store = path_join(p->directory, "store");
    assert_ok(tokenizer_open(&p->bytes, "bytes", &trace), &trace);
    assert_ok(tokenizer_open(&p->pieces, "tests/data/tokenizers/metaspace.json", &trace), &trace);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    tokenizer_close(p->bytes);
    tokenizer_close(p->pieces);
    test_directory_remove(p->directory);
    free(p->text);
    free(p->store);
    free(p);
    return 0;
}

static void write_text(const struct place *p, const char *text, size_t length)
{
    struct trace trace = {0};
    assert_ok(file_write(p->text, text, length, &trace), &trace);
}

/* The corpus of `text` under "bytes" is `expected`, one token a byte. */
static void expect_bytes(const struct place *p, const char *text, struct corpus_options options,
                         const char *expected, uint64_t documents)
{
    struct trace trace = {0};
    struct corpus c;
    write_text(p, text, strlen(text));
    assert_ok(corpus_open(&c, p->text, p->bytes, &options, NULL, &trace), &trace);
    assert_int_equal(c.count, strlen(expected));
    assert_int_equal(c.documents, documents);
    for (uint64_t i = 0; i < c.count; i++)
        assert_int_equal(c.tokens[i], (unsigned char)expected[i]);
    corpus_release(&c);
}

static void a_text_is_one_stream(void **state)
{
    expect_bytes(*state, "one\n\ntwo", (struct corpus_options){0}, "one\n\ntwo", 1);
}

static void a_delimiter_makes_documents(void **state)
{
    struct corpus_options o = {.delimiter = "==="};
    expect_bytes(*state, "===one======two===", o, "one\ntwo\n", 2);
    o.join = JOIN_NOTHING;
    expect_bytes(*state, "one===two", o, "onetwo", 2);
    o.limit = 1;
    expect_bytes(*state, "one===two", o, "one", 1);
    o.limit = 3;
    expect_bytes(*state, "one===two", o, "onetwo", 2);
}

static void lines_of_json_are_documents(void **state)
{
    struct corpus_options o = {.form = CORPUS_JSON_LINES, .join = JOIN_NOTHING};
    expect_bytes(*state, "{\"text\":\"a\\u00e9\"}\r\n\n  \n{\"id\":1,\"text\":\"b\"}", o,
                 "a\xc3\xa9"
                 "b",
                 2);
    o.field = "body";
    expect_bytes(*state, "{\"body\":\"x\"}\n{\"body\":\"\"}\n", o, "x", 1);
    o.join = JOIN_NEWLINE;
    expect_bytes(*state, "{\"body\":\"x\"}\n{\"body\":\"y\"}\n", o, "x\ny\n", 2);
}

static void the_name_tells_the_form(void **state)
{
    struct place *p = *state;
    struct trace trace = {0};
    struct corpus c;
    char *path = path_join(p->directory, "data.jsonl");
    assert_ok(file_write(path, "{\"text\":\"hi\"}", 13, &trace), &trace);
    assert_ok(corpus_open(&c, path, p->bytes, &(struct corpus_options){0}, NULL, &trace), &trace);
    assert_int_equal(c.count, 3); /* "hi" and a newline */
    corpus_release(&c);
    free(path);
}

static void joins_with_the_tokens_of_the_tokenizer(void **state)
{
    struct place *p = *state;
    struct trace trace = {0};
    struct corpus c;
    struct corpus_options o = {.form = CORPUS_JSON_LINES};
    write_text(p, "{\"text\":\"the\"}\n{\"text\":\"wall\"}\n", 31);
    assert_ok(corpus_open(&c, p->text, p->pieces, &o, NULL, &trace), &trace);
    assert_int_equal(c.tokens[c.count - 1], 2);
    assert_int_equal(c.text_bytes, 7);
    corpus_release(&c);
    o.join = JOIN_BOTH;
    assert_ok(corpus_open(&c, p->text, p->pieces, &o, NULL, &trace), &trace);
    assert_int_equal(c.tokens[0], 1);
    assert_int_equal(c.tokens[c.count - 1], 2);
    assert_int_equal(corpus_text_length(&c, p->pieces, 0, c.count), 9); /* with the spaces put in front */
    corpus_release(&c);
    assert_fails(corpus_open(&c, p->text, p->bytes, &o, NULL, &trace), INVALID, &trace,
                 "the tokenizer has none");
    corpus_release(&c);
}

/* Left to the tokenizer, documents get what its template puts around a text, whatever else it has. */
static void joins_as_the_template_says(void **state)
{
    struct place *p = *state;
    struct trace trace = {0};
    struct corpus c;
    struct tokenizer *t;
    struct corpus_options o = {.form = CORPUS_JSON_LINES};
    assert_ok(tokenizer_open(&t, "tests/data/tokenizers/wholewords.json", &trace), &trace);
    assert_int_equal(tokenizer_bos(t), 0);
    write_text(p, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", 26);
    assert_ok(corpus_open(&c, p->text, t, &o, NULL, &trace), &trace);
    uint32_t begins = 0;
    for (uint64_t i = 0; i < c.count; i++)
        begins += c.tokens[i] == 0;
    assert_int_equal(c.tokens[0], 0);
    assert_int_equal(begins, 2);
    assert_int_not_equal(c.tokens[c.count - 1], 0);
    corpus_release(&c);
    tokenizer_close(t);
}

static void expect_error(struct place *p, const char *text, size_t length, struct tokenizer *t,
                         struct corpus_options o, const char *words)
{
    struct trace trace = {0};
    struct corpus c;
    write_text(p, text, length);
    assert_fails(corpus_open(&c, p->text, t, &o, NULL, &trace), INVALID, &trace, words);
    assert_non_null(strstr(trace.text, p->text));
    corpus_release(&c);
}

static void says_what_is_wrong_and_where(void **state)
{
    struct place *p = *state;
    struct corpus_options text = {0}, lines = {.form = CORPUS_JSON_LINES}, parts = {.delimiter = "="};
    expect_error(p, "", 0, p->bytes, text, "holds no text");
    expect_error(p, "\n\n", 2, p->bytes, lines, "holds no text");
    expect_error(p, "==", 2, p->bytes, parts, "holds no text");
    expect_error(p, "ab\xff", 3, p->pieces, text, "byte 0xff at offset 2");
    expect_error(p, "good=ab\xff", 8, p->pieces, parts, "the document that begins at offset 5");
    expect_error(p, "{\"text\":\"a\"}\n{\"text\":1}", 23, p->bytes, lines,
                 "line 2: expected text in the member \"text\"");
    expect_error(p, "{\"text\":\"a\"}\n\n{oops}", 20, p->bytes, lines, "line 3 is not valid JSON");
    expect_error(p, "[1]", 3, p->bytes, lines, "line 1: expected a JSON object, found an array");
    expect_error(p, "{}", 2, p->bytes, lines, "line 1: expected text in the member \"text\", found nothing");
    expect_error(p, "{\"text\":\"\xc3(\"}", 13, p->bytes, lines, "line 1 is not valid JSON");
}

static void bytes_need_not_be_utf8(void **state)
{
    struct place *p = *state;
    struct trace trace = {0};
    struct corpus c;
    write_text(p, "a\0\xff", 3);
    assert_ok(corpus_open(&c, p->text, p->bytes, &(struct corpus_options){0}, NULL, &trace), &trace);
    assert_int_equal(c.count, 3);
    assert_int_equal(c.tokens[2], 255);
    corpus_release(&c);
}

static void a_missing_file_is_named(void **state)
{
    struct place *p = *state;
    struct trace trace = {0};
    struct corpus c;
    assert_fails(corpus_open(&c, "none.txt", p->bytes, &(struct corpus_options){0}, NULL, &trace), NOT_FOUND,
                 &trace, "none.txt");
    corpus_release(&c);
}

static void a_store_keeps_the_tokens(void **state)
{
    struct place *p = *state;
    struct trace trace = {0};
    struct store *store;
    struct corpus first, second, other, heap;
    struct corpus_options o = {.delimiter = "="};
    write_text(p, "the wall=a tree", 15);
    assert_ok(store_open(&store, p->store, STORE_CREATE, &trace), &trace);
    assert_ok(corpus_open(&first, p->text, p->pieces, &o, store, &trace), &trace);
    assert_ok(corpus_open(&second, p->text, p->pieces, &o, store, &trace), &trace);
    assert_ok(corpus_open(&heap, p->text, p->pieces, &o, NULL, &trace), &trace);
    assert_true(hash128_equal(first.object.id, second.object.id));
    assert_int_equal(second.count, heap.count);
    assert_memory_equal(second.tokens, heap.tokens, heap.count * sizeof *heap.tokens);
    assert_int_equal(second.documents, 2);
    assert_int_equal(second.text_bytes, 14);
    assert_true(hash128_equal(second.text_hash, heap.text_hash));
    o.join = JOIN_NOTHING;
    assert_ok(corpus_open(&other, p->text, p->pieces, &o, store, &trace), &trace);
    assert_int_equal(other.count, first.count - 2);
    corpus_release(&first);
    corpus_release(&second);
    corpus_release(&other);
    corpus_release(&heap);
    store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_text_is_one_stream),
        TEST(a_delimiter_makes_documents),
        TEST(lines_of_json_are_documents),
        TEST(the_name_tells_the_form),
        TEST(joins_with_the_tokens_of_the_tokenizer),
        TEST(joins_as_the_template_says),
        TEST(says_what_is_wrong_and_where),
        TEST(bytes_need_not_be_utf8),
        TEST(a_missing_file_is_named),
        TEST(a_store_keeps_the_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
