/* data/tokenizer_reduce.c: the reduced tokenizer knows the kept tokens under their new ids, and nothing else.
 */
#include "data/tokenizer_reduce.h"
#include "tests/support/test.h"

struct case_ {
    struct tokenizer *tokenizer;
    int32_t *keep;
    uint32_t count;
};

static struct tokenizer *open_one(const char *name)
{
    struct trace trace = {0};
    struct tokenizer *t;
    char path[128];
    snprintf(path, sizeof path, "tests/data/tokenizers/%s.json", name);
    assert_ok(tokenizer_open(&t, strcmp(name, "bytes") == 0 ? name : path, &trace), &trace);
    return t;
}

/* Everything below `base`, the space, and every third token above, in descending order so that every id
 * changes. */
static struct case_ make_case(const char *name, uint32_t base)
{
    struct case_ c = {.tokenizer = open_one(name)};
    uint32_t vocabulary = tokenizer_vocabulary(c.tokenizer);
    c.keep = calloc(vocabulary, sizeof *c.keep);
    for (uint32_t id = vocabulary; id-- > 0;)
        if (id < base || id % 3 == 0 || str_is(tokenizer_bytes(c.tokenizer, (int32_t)id), " "))
            c.keep[c.count++] = (int32_t)id;
    return c;
}

static void release_case(struct case_ *c)
{
    tokenizer_close(c->tokenizer);
    free(c->keep);
}

static void check_round_trip(struct tokenizer *reduced, const struct case_ *c, struct str text)
{
    struct trace trace = {0};
    struct token_list ids = {0};
    struct builder back = {0};
    assert_ok(tokenizer_encode(reduced, text, &ids, &trace), &trace);
    for (size_t i = 0; i < ids.count; i++) {
        assert_in_range(ids.items[i], 0, c->count - 1);
        struct str is = tokenizer_bytes(reduced, ids.items[i]);
        struct str was = tokenizer_bytes(c->tokenizer, c->keep[ids.items[i]]);
        assert_true(str_equal(is, was));
    }
    assert_ok(tokenizer_decode(reduced, ids.items, ids.count, &back, &trace), &trace);
    assert_true(str_equal((struct str){builder_text(&back), back.length}, text));
    builder_release(&back);
    token_list_release(&ids);
}

static void check_reduction(const char *name, uint32_t base)
{
    struct trace trace = {0};
    struct case_ c = make_case(name, base);
    struct builder json = {0};
    struct tokenizer_reduction report;
    struct tokenizer *reduced;
    assert_ok(tokenizer_reduce(&json, &report, c.tokenizer, c.keep, c.count, TOKENIZER_REFUSE_LOSS, &trace),
              &trace);
    assert_int_equal(report.tokens, c.count);
    assert_int_equal(report.lost, 0);
    assert_ok(tokenizer_open_text(&reduced, (struct str){json.data, json.length}, &trace), &trace);
    assert_int_equal(tokenizer_vocabulary(reduced), c.count);
    check_round_trip(reduced, &c,
                     STR("the garden has apple pear, na\xc3\xafve \xf0\x9f\x99\x82\n\n  static 1990s"));
    check_round_trip(reduced, &c, STR(""));
    check_round_trip(reduced, &c, STR("\t\xe6\xbc\xa2\xe5\xad\x97 wall"));
    tokenizer_close(reduced);
    builder_release(&json);
    release_case(&c);
}

static void encodes_with_kept_tokens_only(void **state)
{
    (void)state;
    check_reduction("bytelevel", 257);
    check_reduction("metaspace", 259);
    check_reduction("prepend", 259);
}

static void keeping_everything_changes_nothing(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t = open_one("digits"), *same;
    uint32_t count = tokenizer_vocabulary(t);
    int32_t *keep = calloc(count, sizeof *keep);
    for (uint32_t i = 0; i < count; i++)
        keep[i] = (int32_t)i;
    struct builder json = {0};
    struct tokenizer_reduction report;
    assert_ok(tokenizer_reduce(&json, &report, t, keep, count, TOKENIZER_REFUSE_LOSS, &trace), &trace);
    assert_int_equal(report.merges_dropped + report.unreachable + report.lost, 0);
    assert_ok(tokenizer_open_text(&same, (struct str){json.data, json.length}, &trace), &trace);
    struct token_list a = {0}, b = {0};
    struct str text = STR("the garden has 1234 apple trees against a warm wall");
    assert_ok(tokenizer_encode(t, text, &a, &trace), &trace);
    assert_ok(tokenizer_encode(same, text, &b, &trace), &trace);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.items, b.items, a.count * sizeof *a.items);
    token_list_release(&a);
    token_list_release(&b);
    tokenizer_close(t);
    tokenizer_close(same);
    builder_release(&json);
    free(keep);
}

static void refuses_to_lose_bytes_unless_told(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t = open_one("bytes"), *reduced;
    int32_t keep[] = {'b', 'a', ' '};
    struct builder json = {0};
    struct tokenizer_reduction report;
    assert_fails(tokenizer_reduce(&json, &report, t, keep, 3, TOKENIZER_REFUSE_LOSS, &trace), INVALID, &trace,
                 "the byte 0x00 could no longer be encoded");
    builder_clear(&json);
    assert_ok(tokenizer_reduce(&json, &report, t, keep, 3, TOKENIZER_ALLOW_LOSS, &trace), &trace);
    assert_int_equal(report.lost, 253);
    assert_ok(tokenizer_open_text(&reduced, (struct str){json.data, json.length}, &trace), &trace);
    struct token_list ids = {0};
    assert_ok(tokenizer_encode(reduced, STR("ab a"), &ids, &trace), &trace);
    assert_memory_equal(ids.items, ((int32_t[]){1, 0, 2, 1}), 4 * sizeof(int32_t));
    assert_fails(tokenizer_encode(reduced, STR("abc"), &ids, &trace), INVALID, &trace, "byte 0x63");
    token_list_release(&ids);
    tokenizer_close(reduced);
    tokenizer_close(t);
    builder_release(&json);
}

static void refuses_to_lose_characters_that_have_no_bytes(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t = open_one("fused");
    struct builder json = {0};
    struct tokenizer_reduction report;
    assert_fails(
        tokenizer_reduce(&json, &report, t, (const int32_t[]){0, 1, 2}, 3, TOKENIZER_REFUSE_LOSS, &trace),
        INVALID, &trace, "could no longer be encoded");
    assert_ok(
        tokenizer_reduce(&json, &report, t, (const int32_t[]){0, 1, 2}, 3, TOKENIZER_ALLOW_LOSS, &trace),
        &trace);
    builder_release(&json);
    tokenizer_close(t);
}

static void refuses_to_lose_the_space(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct case_ c = make_case("metaspace", 259);
    struct builder json = {0};
    struct tokenizer_reduction report;
    uint32_t count = 0;
    for (uint32_t i = 0; i < c.count; i++)
        if (!str_is(tokenizer_bytes(c.tokenizer, c.keep[i]), " ") || c.keep[i] < 259)
            c.keep[count++] = c.keep[i];
    assert_int_equal(count, c.count - 1);
    assert_fails(tokenizer_reduce(&json, &report, c.tokenizer, c.keep, count, TOKENIZER_REFUSE_LOSS, &trace),
                 INVALID, &trace, "U+2581 could no longer be encoded");
    builder_release(&json);
    release_case(&c);
}

static void refuses_impossible_lists(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t = open_one("metaspace");
    struct builder json = {0};
    struct tokenizer_reduction report;
    assert_fails(
        tokenizer_reduce(&json, &report, t, (const int32_t[]){0, 5, 5}, 3, TOKENIZER_ALLOW_LOSS, &trace),
        INVALID, &trace, "kept twice");
    assert_fails(
        tokenizer_reduce(&json, &report, t, (const int32_t[]){0, -5}, 2, TOKENIZER_ALLOW_LOSS, &trace),
        INVALID, &trace, "id -5");
    assert_fails(
        tokenizer_reduce(&json, &report, t, (const int32_t[]){0, 99999}, 2, TOKENIZER_ALLOW_LOSS, &trace),
        INVALID, &trace, "id 99999");
    assert_fails(
        tokenizer_reduce(&json, &report, t, (const int32_t[]){1, 2}, 2, TOKENIZER_ALLOW_LOSS, &trace),
        INVALID, &trace, "unknown token");
    assert_fails(tokenizer_reduce(&json, &report, t, NULL, 0, TOKENIZER_ALLOW_LOSS, &trace), INVALID, &trace,
                 "no token");
    builder_release(&json);
    tokenizer_close(t);
}

static void renumbers_or_drops_the_template(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct case_ c = make_case("wholewords", 257);
    struct builder json = {0};
    struct tokenizer_reduction report;
    struct tokenizer *reduced;
    assert_ok(tokenizer_reduce(&json, &report, c.tokenizer, c.keep, c.count, TOKENIZER_REFUSE_LOSS, &trace),
              &trace);
    assert_ok(tokenizer_open_text(&reduced, (struct str){json.data, json.length}, &trace), &trace);
    assert_int_equal(tokenizer_bos(reduced), c.count - 1); /* id 0 came last */
    tokenizer_close(reduced);
    builder_clear(&json);
    assert_ok(
        tokenizer_reduce(&json, &report, c.tokenizer, c.keep, c.count - 1, TOKENIZER_REFUSE_LOSS, &trace),
        &trace);
    assert_non_null(strstr(json.data, "\"post_processor\": null"));
    builder_release(&json);
    release_case(&c);
}

static void leaves_words_with_affixes_alone(void **state)
{
    (void)state;
    struct case_ c = make_case("wordends", 256);
    struct builder text = {0};
    struct tokenizer_reduction report;
    struct trace trace = {0};
    assert_fails(
        tokenizer_reduce(&text, &report, c.tokenizer, c.keep, c.count, TOKENIZER_REFUSE_LOSS, &trace),
        UNSUPPORTED, &trace, "end_of_word_suffix");
    builder_release(&text);
    release_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_words_with_affixes_alone),
        cmocka_unit_test(encodes_with_kept_tokens_only),
        cmocka_unit_test(keeping_everything_changes_nothing),
        cmocka_unit_test(refuses_to_lose_bytes_unless_told),
        cmocka_unit_test(refuses_to_lose_characters_that_have_no_bytes),
        cmocka_unit_test(refuses_to_lose_the_space),
        cmocka_unit_test(refuses_impossible_lists),
        cmocka_unit_test(renumbers_or_drops_the_template),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
