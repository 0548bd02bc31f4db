/* Tasks by `eval --task` and by the stage `answer`, which must agree; and how mistakes are told. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <math.h>

static const char items[] = "{\"goal\": \"greet\", \"sol1\": \"say hello\", \"sol2\": \"say nothing\"}\n"
                            "{\"goal\": \"sleep\", \"sol1\": \"run about\", \"sol2\": \"lie down\"}\n"
                            "{\"goal\": \"drink\", \"sol1\": \"open the mouth\", \"sol2\": \"close it\"}\n";

static const char pipeline[] = "espalier: 1\ninputs:\n"
                               "  teacher: {model: %s/golden/tiny/model.onnx, tokenizer: bytes}\n"
                               "  piqa: {task: piqa, items: items.jsonl, labels: labels.lst}\n"
                               "stages:\n  - import: {model: teacher}\n  - answer: {data: piqa%s}\n";

static void write_all(const struct fixture *f, const char *labels, const char *settings)
{
    char text[8192];
    char *here = realpath(".", NULL);
    snprintf(text, sizeof text, pipeline, here, settings);
    free(here);
    fixture_write_file(f, "items.jsonl", items);
    fixture_write_file(f, "labels.lst", labels);
    fixture_write_file(f, "p.yaml", text);
}

/* The report of the stage `answer`, and the status of that stage. */
static json_t *run_answer(const struct fixture *f, const char *status)
{
    json_t *lines = fixture_run(f, "--quiet");
    const json_t *line = json_find(lines, "stage", "answer");
    assert_non_null(line);
    assert_string_equal(json_text(line, "status"), status);
    json_t *report = json_deep_copy(json_object_get(line, "report"));
    json_decref(lines);
    return report;
}

static void command_and_stage_agree(void **state)
{
    const struct fixture *f = *state;
    write_all(f, "0\n1\n0\n", "");
    json_t *report = run_answer(f, "ran");
    struct outcome o = program_run("eval golden/tiny/model.onnx --tokenizer bytes --task piqa --items "
                                   "%s/items.jsonl --labels %s/labels.lst --json --quiet --device cpu",
                                   f->directory, f->directory);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    assert_int_equal(json_array_size(lines), 4);
    const json_t *last = json_find(lines, "task", "piqa");
    assert_non_null(last);
    static const char *const of[][2] = {{"accuracy", "accuracy"}, {"accuracy_normalised", "normalised"}};
    for (size_t i = 0; i < 2; i++) {
        const json_t *mean = json_object_get(last, of[i][0]);
        assert_true(json_number_value(json_object_get(mean, "value")) ==
                    json_number_value(json_object_get(report, of[i][1])));
    }
    json_decref(lines);
    json_decref(report);
    outcome_release(&o);
}

/* Means and items against what lm-evaluation-harness 0.4.13 gave for the same model as a Hugging Face folder
 * (golden/tasks/harness.jsonl). */
static void check_item(const json_t *ours, const json_t *harness)
{
    const json_t *found = json_object_get(ours, "log_likelihoods"),
                 *expected = json_object_get(harness, "log_likelihoods");
    json_int_t gold = json_integer_value(json_object_get(ours, "gold"));
    assert_int_equal(json_array_size(found), json_array_size(expected));
    for (size_t i = 0; i < json_array_size(found); i++) {
        double x = json_number_value(json_array_get(found, i)),
               y = json_number_value(json_array_get(expected, i));
        if (!(fabs(x - y) < 1e-4))
            fail_msg("item %lld, choice %zu: %.7g, the harness has %.7g",
                     (long long)json_integer_value(json_object_get(ours, "item")), i, x, y);
    }
    assert_int_equal(json_integer_value(json_object_get(ours, "choice")) == gold,
                     json_integer_value(json_object_get(harness, "right")));
    const json_t *normalised = json_object_get(harness, "right_normalised");
    if (normalised)
        assert_int_equal(json_integer_value(json_object_get(ours, "choice_normalised")) == gold,
                         json_integer_value(normalised));
}

static void check_harness(const json_t *harness, const char *task, const char *file, int shots)
{
    char examples[256] = "";
    if (shots > 0)
        snprintf(examples, sizeof examples, "--shots %d --examples golden/tasks/%s.jsonl", shots, file);
    struct outcome o = program_run("eval golden/tiny/model.onnx --tokenizer bytes --task %s --items "
                                   "golden/tasks/%s.jsonl --json --quiet --device cpu %s",
                                   task, file, examples);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    size_t checked = 0;
    for (size_t i = 0; i < json_array_size(harness); i++) {
        const json_t *line = json_array_get(harness, i);
        if (strcmp(json_text(line, "task"), task) != 0 ||
            json_integer_value(json_object_get(line, "shots")) != shots)
            continue;
        check_item(json_array_get(lines, (size_t)json_integer_value(json_object_get(line, "item"))), line);
        checked++;
    }
    assert_int_equal(checked, 24);
    assert_int_equal(json_array_size(lines), checked + 1);
    json_decref(lines);
    outcome_release(&o);
}

static void answers_are_those_of_the_harness(void **state)
{
    (void)state;
    struct builder text = {0};
    struct trace trace = {0};
    assert_ok(file_read(&text, "golden/tasks/harness.jsonl", 1 << 24, &trace), &trace);
    json_t *harness = json_lines(&text);
    for (int shots = 0; shots <= 2; shots += 2) {
        check_harness(harness, "arc", "arc", shots);
        check_harness(harness, "arc", "arc-flat", shots);
        check_harness(harness, "hellaswag", "hellaswag", shots);
        check_harness(harness, "winogrande", "winogrande", shots);
    }
    json_decref(harness);
    builder_release(&text);
}

static void an_edited_file_is_answered_again(void **state)
{
    const struct fixture *f = *state;
    write_all(f, "0\n1\n0\n", "");
    json_t *before = run_answer(f, "ran");
    json_decref(run_answer(f, "cached"));
    fixture_write_file(f, "labels.lst", "1\n0\n1\n");
    json_t *after = run_answer(f, "ran");
    assert_true(json_number_value(json_object_get(before, "accuracy")) +
                    json_number_value(json_object_get(after, "accuracy")) ==
                1);
    json_decref(before);
    json_decref(after);
}

static void mistakes_are_told(void **state)
{
    const struct fixture *f = *state;
    const char *model = "golden/tiny/model.onnx --tokenizer bytes";
    write_all(f, "0\n1\n", "");
    program_expect(2, "expected one of piqa, arc", "eval %s --task riddles --items %s/items.jsonl", model,
                   f->directory);
    program_expect(2, "needs --items FILE", "eval %s --task piqa", model);
    program_expect(2, "either --text FILE, or --task", "eval %s --task piqa --text %s", model, f->text);
    program_expect(2, "either --text FILE, or --task", "eval %s", model);
    program_expect(2, "there is no label for it", "run %s --quiet --device cpu", f->yaml);
    write_all(f, "0\n1\n0\n", ", shots: 1");
    program_expect(2, "no file of examples is given", "run %s --quiet --device cpu", f->yaml);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(command_and_stage_agree),
        FIXTURE_TEST(answers_are_those_of_the_harness),
        FIXTURE_TEST(an_edited_file_is_answered_again),
        FIXTURE_TEST(mistakes_are_told),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
