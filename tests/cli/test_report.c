/* The page of a pipeline: it shows what the store holds, says what has not been run, and needs nothing else.
 */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <ctype.h>

static struct builder read_page(const struct fixture *f)
{
    char path[4300];
    struct builder page = {0};
    struct trace trace = {0};
    snprintf(path, sizeof path, "%s/r.html", f->directory);
    assert_ok(file_read(&page, path, 1 << 24, &trace), &trace);
    return page;
}

static void expect(const struct builder *page, const char *words)
{
    if (!strstr(builder_text(page), words))
        fail_msg("the page does not have \"%s\"", words);
}

/* Every element that is opened is closed, in order; but for those that HTML leaves open. */
static void check_elements(const struct builder *page)
{
    static const char *const open_ones[] = {"!doctype", "meta"};
    char stack[64][16];
    uint32_t depth = 0;
    for (const char *at = builder_text(page); (at = strchr(at, '<')); at++) {
        char name[16] = {0};
        bool closes = at[1] == '/', is_open = false;
        const char *from = at + 1 + closes, *end = strchr(at, '>');
        assert_non_null(end);
        for (size_t n = 0; n < sizeof name - 1 && (isalnum((unsigned char)from[n]) || from[n] == '!'); n++)
            name[n] = from[n];
        for (size_t i = 0; i < 2; i++)
            is_open = is_open || strcmp(name, open_ones[i]) == 0;
        if (is_open || end[-1] == '/')
            continue;
        if (!closes) {
            assert_in_range(depth, 0, 63);
            memcpy(stack[depth++], name, sizeof name);
            continue;
        }
        assert_true(depth > 0);
        assert_string_equal(stack[--depth], name);
    }
    assert_int_equal(depth, 0);
}

static void a_page_shows_the_results(void **state)
{
    const struct fixture *f = *state;
    fixture_write(f, ", steps: 5", "  - evaluate: {as: again, data: text, length: 32}\n");
    json_t *lines = fixture_run(f, "--quiet");
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    struct builder page = read_page(f);
    check_elements(&page);
    expect(&page, "6 of 6 stages in the store");
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        char loss[32];
        if (json_object_get(line, "id"))
            expect(&page, json_text(line, "id"));
        if (!json_object_get(line, "report"))
            continue;
        snprintf(loss, sizeof loss, ">%.4f<",
                 json_number_value(json_object_get(json_object_get(line, "report"), "loss")));
        expect(&page, loss);
    }
    static const char *const parts[] = {"id=\"models\"", "id=\"rewrites\"", "id=\"training\"",
                                        "id=\"scores\"", "id=\"records\"",  "layers.*.ffn",
                                        "cpu ("};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        expect(&page, parts[i]);
    assert_null(strstr(builder_text(&page), "<script"));
    assert_null(strstr(builder_text(&page), "http"));
    builder_release(&page);
    json_decref(lines);
}

static void a_page_says_what_has_not_been_run(void **state)
{
    const struct fixture *f = *state;
    fixture_write(f, ", steps: 5", "");
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    struct builder page = read_page(f);
    check_elements(&page);
    expect(&page, "0 of 5 stages in the store");
    expect(&page, "not run");
    builder_release(&page);
    char store[4300]; /* looking makes no store */
    snprintf(store, sizeof store, "%s/.espalier", f->directory);
    assert_int_equal(access(store, F_OK), -1);
}

/* Only paths can hold what means something in HTML. */
static void paths_are_escaped(void **state)
{
    const struct fixture *f = *state;
    fixture_write_file(f, "a<b>&\"c\".yaml",
                       "espalier: 1\nseed: 1\nstages:\n"
                       "  - init: {arch: {layers: 1, hidden: 16, heads: 2, ffn: 8}, tokenizer: bytes}\n");
    program_expect(0, "", "report %s/a<b>&\"c\".yaml -o %s/r.html", f->directory, f->directory);
    struct builder page = read_page(f);
    check_elements(&page);
    expect(&page, "a&lt;b&gt;&amp;&quot;c&quot;.yaml");
    builder_release(&page);
    program_expect(2, "report needs -o", "report %s", f->yaml);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_page_shows_the_results),
        FIXTURE_TEST(a_page_says_what_has_not_been_run),
        FIXTURE_TEST(paths_are_escaped),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
