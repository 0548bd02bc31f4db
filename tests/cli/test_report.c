/* The page of a pipeline, and of a search: it shows what the store holds, says what has not been run, and
 * needs nothing else.
 */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

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
    fixture_write(f, ", steps: 5",
                  "  - evaluate: {as: again, data: text, length: 32}\n"
                  "  - generate: {prompt: 'a<b>', tokens: 5, samples: 1}\n");
    json_t *lines = fixture_run(f, "--quiet");
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    struct builder page = read_page(f);
    check_elements(&page);
    expect(&page, "7 of 7 stages in the store");
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        char loss[32];
        if (json_object_get(line, "id"))
            expect(&page, json_text(line, "id"));
        if (!json_object_get(line, "report"))
            continue;
        snprintf(loss, sizeof loss, ">%.4f \xc2\xb1 ",
                 json_number_value(json_object_get(json_object_get(line, "report"), "loss")));
        expect(&page, loss);
    }
    static const char *const parts[] = {
        "id=\"evaluation\"", "id=\"models\"",     "id=\"rewrites\"",   "id=\"samples\"", "id=\"training\"",
        "id=\"scores\"",     "id=\"inputs\"",     "id=\"records\"",    "layers.*.ffn",   "MLP 24 → 16",
        "likeliest tokens",  "<b>a&lt;b&gt;</b>", "href=\"#samples\"", "cpu ("};
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

/* The interval of the first evaluation is 1.96 of the error that `eval` gives. */
static void intervals_are_those_of_windows(void **state)
{
    const struct fixture *f = *state;
    char words[64];
    fixture_write(f, ", steps: 5", "");
    json_decref(fixture_run(f, "--quiet"));
    struct outcome o =
        program_run("eval %s:prune --text %s --length 64 --json -q --device cpu", f->yaml, f->text);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    const json_t *line = json_array_get(lines, 0);
    double loss = json_number_value(json_object_get(line, "loss")),
           reach = 1.96 * json_number_value(json_object_get(line, "loss_error"));
    assert_true(reach > 0);
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    struct builder page = read_page(f);
    snprintf(words, sizeof words, ">%.4f \xc2\xb1 %.4f<", loss, reach);
    expect(&page, words);
    snprintf(words, sizeof words, "(%#.4g – %#.4g)<", exp(loss - reach), exp(loss + reach));
    expect(&page, words);
    builder_release(&page);
    json_decref(lines);
    outcome_release(&o);
}

/* A number of the one line that a command prints. */
static double number(const json_t *lines, const char *key)
{
    return json_number_value(json_object_get(json_array_get(lines, 0), key));
}

/* What the stage, the command and the page say of the distance from a teacher is the same. */
static void distances_from_a_teacher_are_shown(void **state)
{
    const struct fixture *f = *state;
    char words[128];
    fixture_write(f, ", steps: 30, optimizer: {adamw: {lr: 0.03}}",
                  "  - evaluate: {as: apart, data: text, length: 64, teacher: init}\n");
    json_t *run = fixture_run(f, "--quiet");
    struct outcome o =
        program_run("eval %s:prune --teacher %s:init --text %s --length 64 --json -q --device cpu", f->yaml,
                    f->yaml, f->text);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    const json_t *report = json_object_get(json_find(run, "stage", "apart"), "report");
    double divergence = number(lines, "divergence"), agreement = number(lines, "agreement");
    assert_true(divergence > 0.001 && agreement > 0 && agreement < 1);
    assert_true(json_number_value(json_object_get(report, "divergence")) == divergence);
    assert_true(json_number_value(json_object_get(report, "agreement")) == agreement);
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    struct builder page = read_page(f);
    check_elements(&page);
    expect(&page, "id=\"teachers\"");
    snprintf(words, sizeof words, ">%.4f \xc2\xb1 %.4f</td><td class=\"n\">%.4f \xc2\xb1 %.4f<", divergence,
             1.96 * number(lines, "divergence_error"), agreement, 1.96 * number(lines, "agreement_error"));
    const char *first = strstr(builder_text(&page), words);
    if (!first || !strstr(first + 1, words)) /* of all models, and stage by stage */
        fail_msg("the page does not have \"%s\" twice", words);
    builder_release(&page);
    json_decref(lines);
    json_decref(run);
    outcome_release(&o);
    snprintf(words, sizeof words, " %10.4f %10.4f\n", divergence, agreement);
    o = program_run("run %s --device cpu", f->yaml);
    assert_non_null(strstr(builder_text(&o.out), words));
    outcome_release(&o);
    program_expect(2, "--teacher is compared on a text",
                   "eval %s:prune --teacher %s:train --task piqa --items %s", f->yaml, f->yaml, f->text);
}

/* The row of the pruned model says how many tokens it came from: phases have sizes of their own. */
static void tokens_of_phases_are_counted(void **state)
{
    const struct fixture *f = *state;
    fixture_write(f, ", phases: [{steps: 2}, {steps: 3, length: 16, batch: 2}]", "");
    json_decref(fixture_run(f, "--quiet"));
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    struct builder page = read_page(f);
    expect(&page, "<td class=\"n\">352</td>"); /* 2 * 4 * 32 + 3 * 2 * 16 */
    builder_release(&page);
    fixture_write(f, ", stop: 3, phases: [{steps: 2}, {steps: 3, length: 16, batch: 2}]", "");
    json_decref(fixture_run(f, "--quiet"));
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    page = read_page(f);
    expect(&page, "<td class=\"n\">288</td>");
    builder_release(&page);
}

/* ---- searches ---- */

static void write_search(const struct fixture *f, const char *points)
{
    char text[16384], model[PATH_MAX];
    assert_non_null(realpath("golden/tiny/model.onnx", model));
    snprintf(text, sizeof text,
             "espalier: 1\nname: toy-search\nseed: 3\ninputs:\n  teacher: {model: %s, tokenizer: bytes}\n"
             "  text: {text: %s}\nsearch:\n  base: {model: teacher}\n"
             "  grid: {layers: [1, 2, 3], ffn: [24, 40]}\n  rank: {points: %s, keep: 0.5}\nstages:\n"
             "  - import: {model: teacher}\n"
             "  - score: {data: text, samples: 8, length: 48, micro: 8}\n"
             "  - prune\n"
             "  - distill: {teacher: import, data: text, steps: 12, batch: 4, micro: 4, length: 48}\n"
             "  - evaluate: {data: text, length: 48}\n",
             model, f->text, points);
    fixture_write_file(f, "p.yaml", text);
}

static struct builder report(const struct fixture *f)
{
    program_expect(0, "", "report %s -o %s/r.html", f->yaml, f->directory);
    struct builder page = read_page(f);
    check_elements(&page);
    return page;
}

/* Every value with its rank, and every tau, as search printed them. */
static void expect_ranking(const struct builder *page, const json_t *lines)
{
    char words[64];
    int values = 0, taus = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_object_get(line, "rank")) {
            snprintf(words, sizeof words, ">%.4f (%d)<", json_number_value(json_object_get(line, "loss")),
                     (int)json_integer_value(json_object_get(line, "rank")));
            expect(page, words);
            values++;
        }
        if (json_object_get(line, "kendall_tau")) {
            snprintf(words, sizeof words, ">%.2f<", json_number_value(json_object_get(line, "kendall_tau")));
            expect(page, words);
            taus++;
        }
    }
    assert_int_equal(values, 6 + 6 + 3);
    assert_int_equal(taus, 2);
}

static void a_page_of_a_search_shows_its_rankings(void **state)
{
    const struct fixture *f = *state;
    write_search(f, "[0, 4, 12]");
    struct builder page = report(f);
    expect(&page, "No candidate has been measured.");
    expect(&page, "a search of 6 candidates");
    builder_release(&page);
    struct outcome o = program_run("search %s --json --quiet --device cpu", f->yaml);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    page = report(f);
    expect_ranking(&page, lines);
    static const char *const parts[] = {"id=\"ranking\"",      "id=\"candidates\"", "id=\"evaluation\"",
                                        "id=\"training\"",     ">untrained<",       ">12 steps<",
                                        "By loss of evaluate", "Learning rate"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        expect(&page, parts[i]);
    assert_null(strstr(builder_text(&page), "<script"));
    assert_null(strstr(builder_text(&page), "http"));
    builder_release(&page);
    json_decref(lines);
    outcome_release(&o);
    write_search(f, "[0, 4, 8]"); /* what has not been run yet */
    page = report(f);
    expect(&page, ">4 steps<");
    assert_null(strstr(builder_text(&page), ">8 steps<"));
    builder_release(&page);
}

static void a_page_of_a_list_shows_the_candidates(void **state)
{
    const struct fixture *f = *state;
    program_expect(0, "", "report examples/search/minitron-4b.yaml -o %s/r.html", f->directory);
    struct builder page = read_page(f);
    check_elements(&page);
    expect(&page, ">l32-d3072-h24-f9216<");
    expect(&page, ">4,190,109,696<");
    assert_null(strstr(builder_text(&page), "id=\"ranking\""));
    builder_release(&page);
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
        FIXTURE_TEST(intervals_are_those_of_windows),
        FIXTURE_TEST(distances_from_a_teacher_are_shown),
        FIXTURE_TEST(tokens_of_phases_are_counted),
        FIXTURE_TEST(a_page_of_a_search_shows_its_rankings),
        FIXTURE_TEST(a_page_of_a_list_shows_the_candidates),
        FIXTURE_TEST(paths_are_escaped),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
