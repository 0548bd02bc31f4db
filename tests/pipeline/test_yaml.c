/* pipeline/yaml.c: the tree, its places, and texts that no reader should swallow. */
#include "pipeline/yaml.h"
#include "tests/pipeline/fixture.h"

static enum status read_text(struct fixture *f, const char *text)
{
    return yaml_read(&f->root, &f->arena, str_from(text), "x.yaml", &f->trace);
}

static void keeps_order_kind_and_place(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "b: 1\na: [x, 'y']\nc:\n  d: \"2\"\n"), &f->trace);
    assert_int_equal(f->root->kind, YAML_MAP);
    assert_int_equal(f->root->count, 3);
    assert_true(str_is(f->root->keys[0]->text, "b"));
    const struct yaml_value *list = yaml_find(f->root, "a");
    assert_int_equal(list->kind, YAML_LIST);
    assert_int_equal(list->count, 2);
    assert_false(list->items[0]->quoted);
    assert_true(list->items[1]->quoted);
    assert_int_equal(list->items[1]->line, 2);
    assert_int_equal(list->items[1]->column, 8);
    const struct yaml_value *inner = yaml_find(yaml_find(f->root, "c"), "d");
    assert_true(inner->quoted);
    assert_true(str_is(inner->text, "2"));
    assert_int_equal(inner->line, 4);
    assert_int_equal(inner->column, 6);
}

static void finds_nothing_in_what_is_no_map(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "[a, b]"), &f->trace);
    assert_null(yaml_find(f->root, "a"));
    assert_null(yaml_find(NULL, "a"));
}

static void texts_may_hold_nul_and_any_length(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "a: \"x\\0y\""), &f->trace);
    assert_int_equal(yaml_find(f->root, "a")->text.length, 3);
}

static void rejects_aliases_however_deep(void **state)
{
    struct fixture *f = *state;
    assert_fails(read_text(f, "a: &x [1]\nb: {c: *x}\n"), INVALID, &f->trace, "aliases");
    assert_fails(read_text(f, "a: &x [*x]\n"), INVALID, &f->trace, "aliases");
}

static void rejects_keys_that_are_no_words(void **state)
{
    struct fixture *f = *state;
    assert_fails(read_text(f, "[a]: 1\n"), INVALID, &f->trace, "x.yaml:1:1: expected a word as key");
}

static void rejects_a_key_that_stands_twice(void **state)
{
    struct fixture *f = *state;
    assert_fails(read_text(f, "a: 1\n'a': 2\n"), INVALID, &f->trace, "x.yaml:2:1: key \"a\" stands twice");
}

static void takes_64_levels_and_no_more(void **state)
{
    struct fixture *f = *state;
    char text[256] = "";
    for (int i = 0; i < 64; i++)
        text[i] = '[', text[127 - i] = ']';
    assert_ok(read_text(f, text), &f->trace);
    memset(text, '[', 66);
    memset(text + 66, ']', 66);
    assert_fails(read_text(f, text), INVALID, &f->trace, "more than 64 levels");
}

static void rejects_bytes_that_are_no_text(void **state)
{
    struct fixture *f = *state;
    const char *const bad[] = {"a: \xff\xfe\n", "a: \x01\n", "\t- a\n",
                               "a: b: c\n",     "a: 'x\n",   "%YAML 9.9\n---\na\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_text(f, bad[i]), INVALID);
}

/* libyaml counts characters, not bytes. */
static void finds_tabs_behind_characters_of_several_bytes(void **state)
{
    struct fixture *f = *state;
    assert_fails(read_text(f, "# \xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\xb3\na:\n\t- b\n"), INVALID, &f->trace,
                 "x.yaml:3:1: expected blanks, found a tab");
    assert_fails(read_text(f, "\xef\xbb\xbf# \xc3\xa4\na:\n\t- b\n"), INVALID, &f->trace,
                 "x.yaml:3:1: expected blanks, found a tab");
    f->trace = (struct trace){0};
    assert_int_equal(read_text(f, "# \xc3\xa4\xc3\xb6\nb:\t @x\n"), INVALID);
    assert_null(strstr(f->trace.text, "tab")); /* it is the "@" that cannot be there */
}

/* The 100 bytes that are shown end before a character of which they would have a part. */
static void long_texts_are_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    char text[160];
    for (size_t before = 97; before <= 101; before++) {
        memset(text, 'x', sizeof text);
        memcpy(text + before, "\xe2\x82\xac", 3);
        memcpy(text + before + 3, "yyyyy\n", 7);
        assert_ok(read_text(f, text), &f->trace);
        char expected[160];
        size_t shown = before == 97 ? 100 : before > 100 ? 100 : before;
        snprintf(expected, sizeof expected, "found \"%.*s...\"", (int)shown, text);
        f->trace = (struct trace){0};
        assert_fails(yaml_fail_expected(&f->trace, "x.yaml", f->root, "", "a map"), INVALID, &f->trace,
                     expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(keeps_order_kind_and_place),
        FIXTURE_TEST(finds_nothing_in_what_is_no_map),
        FIXTURE_TEST(texts_may_hold_nul_and_any_length),
        FIXTURE_TEST(rejects_aliases_however_deep),
        FIXTURE_TEST(rejects_keys_that_are_no_words),
        FIXTURE_TEST(rejects_a_key_that_stands_twice),
        FIXTURE_TEST(takes_64_levels_and_no_more),
        FIXTURE_TEST(rejects_bytes_that_are_no_text),
        FIXTURE_TEST(finds_tabs_behind_characters_of_several_bytes),
        FIXTURE_TEST(long_texts_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
