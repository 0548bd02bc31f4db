/* data/regex.c: the syntax that tokenizers are written in, limits, and long texts. */
#include "data/regex.h"
#include "tests/support/test.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All matches as "start-end", from the start of the text on. */
static void expect_all(const char *pattern, size_t window, struct str text, const char *expected)
{
    struct trace trace = {0};
    struct regex regex;
    struct builder found = {0};
    struct regex_match match;
    assert_ok(regex_open(&regex, str_from(pattern), REGEX_PATTERN, &trace), &trace);
    if (window)
        regex.window = window;
    for (size_t from = 0; from <= text.length; from = match.end + (match.end == match.start)) {
        assert_ok(regex_find(&match, &regex, text, from, &trace), &trace);
        if (!match.is_found)
            break;
        builder_printf(&found, "%s%zu-%zu", found.length ? " " : "", match.start, match.end);
    }
    if (strcmp(builder_text(&found), expected) != 0)
        fail_msg("%s in windows of %zu finds %s instead of %s", pattern, window, builder_text(&found),
                 expected);
    builder_release(&found);
    regex_release(&regex);
}

static void has_the_syntax_of_ruby(void **state)
{
    (void)state;
    expect_all("[a[bc]d]+", 0, STR("xabcdx"), "1-5");           /* classes nest */
    expect_all("[a-z&&[^aeiou]]+", 0, STR("hello"), "0-1 2-4"); /* and intersect */
    expect_all("\\d{1,3}+", 0, STR("1234567"), "0-7"); /* a repeated repetition, not a possessive one */
    expect_all("\\d++\\d", 0, STR("1234567"), "");     /* this is one */
    expect_all("(?m:a.b)", 0, STR("a\nb"), "0-3");     /* m lets the point match newlines */
    expect_all("^b$", 0, STR("a\nb\nc"), "2-3");       /* lines begin and end everywhere */
    expect_all("\\s+", 0,
               STR("a\xe1\xa0\x8e"
                   "b\xc2\x85\xe3\x80\x80"),
               "5-10");                                       /* U+180E is no blank */
    expect_all("(?i:'s)", 0, STR("'S '\xc5\xbf"), "0-2 3-6"); /* long s as well */
}

static void finds_literals_as_they_are(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct regex regex;
    struct regex_match match;
    assert_ok(regex_open(&regex, STR("a.b"), REGEX_LITERAL, &trace), &trace);
    assert_ok(regex_find(&match, &regex, STR("axb a.b"), 0, &trace), &trace);
    assert_true(match.is_found && match.start == 4 && match.end == 7);
    assert_ok(regex_find(&match, &regex, STR("axb a.b"), 5, &trace), &trace);
    assert_false(match.is_found);
    regex_release(&regex);
}

static void says_what_is_wrong_with_a_pattern(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct regex regex;
    assert_fails(regex_open(&regex, STR("a("), REGEX_PATTERN, &trace), INVALID, &trace,
                 "the pattern a( is wrong");
    char *long_pattern = calloc(1, REGEX_PATTERN_LIMIT + 1);
    memset(long_pattern, 'a', REGEX_PATTERN_LIMIT + 1);
    assert_fails(
        regex_open(&regex, (struct str){long_pattern, REGEX_PATTERN_LIMIT + 1}, REGEX_PATTERN, &trace),
        UNSUPPORTED, &trace, "more than the 8192 allowed");
    free(long_pattern);
}

/* In windows the same is found as at once, however the windows fall. */
static void finds_the_same_in_windows(void **state)
{
    (void)state;
    static const char *const patterns[] = {"\\w+|\\s+(?!\\S)|\\s+", "(?<=b)c|a$", "\\p{L}{2,5}", "x"};
    struct builder text = {0};
    for (int i = 0; i < 100; i++)
        builder_printf(&text, "ab%.*s c\xc3\xa9 bc\n%.*sx", i % 7, "wwwwwww", i % 4, "    ");
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        struct trace trace = {0};
        struct regex whole, cut;
        assert_ok(regex_open(&whole, str_from(patterns[p]), REGEX_PATTERN, &trace), &trace);
        assert_ok(regex_open(&cut, str_from(patterns[p]), REGEX_PATTERN, &trace), &trace);
        for (cut.window = 64; cut.window < 200; cut.window += 9)
            for (size_t from = 0; from < text.length;
                 from += 1 + (((unsigned char)text.data[from]) == 0xc3)) {
                struct regex_match a, b;
                struct str all = {builder_text(&text), text.length};
                assert_ok(regex_find(&a, &whole, all, from, &trace), &trace);
                assert_ok(regex_find(&b, &cut, all, from, &trace), &trace);
                if (a.is_found != b.is_found || (a.is_found && (a.start != b.start || a.end != b.end)))
                    fail_msg("%s from %zu in windows of %zu: %zu-%zu, not %zu-%zu", patterns[p], from,
                             cut.window, b.start, b.end, a.start, a.end);
            }
        regex_release(&whole);
        regex_release(&cut);
    }
    builder_release(&text);
}

static void a_match_as_long_as_a_window_is_an_error(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct regex regex;
    struct regex_match match;
    char text[201];
    memset(text, 'a', 200);
    text[200] = '\0';
    assert_ok(regex_open(&regex, STR("a+"), REGEX_PATTERN, &trace), &trace);
    regex.window = 100;
    assert_fails(regex_find(&match, &regex, (struct str){text, 200}, 0, &trace), UNSUPPORTED, &trace,
                 "matches more than");
    regex_release(&regex);
}

/* The library exports regcomp and its kin with structures of its own. Drivers of Vulkan call them and mean
 * the C library's: in the place of those, they hang or crash. */
static void leaves_the_functions_of_the_c_library_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"regcomp", "regexec", "regfree", "regerror", "re_search"};
    Dl_info found, wanted;
    assert_true(dladdr(dlsym(RTLD_DEFAULT, "getpid"), &wanted));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_true(dladdr(dlsym(RTLD_DEFAULT, names[i]), &found));
        if (!strstr(found.dli_fname, "libasan"))
            assert_string_equal(found.dli_fname, wanted.dli_fname);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_syntax_of_ruby),
        cmocka_unit_test(finds_literals_as_they_are),
        cmocka_unit_test(says_what_is_wrong_with_a_pattern),
        cmocka_unit_test(finds_the_same_in_windows),
        cmocka_unit_test(a_match_as_long_as_a_window_is_an_error),
        cmocka_unit_test(leaves_the_functions_of_the_c_library_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
