/* Tasks by `eval --task` and by the stage `answer`, which must agree; and how mistakes are told. */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"

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
        FIXTURE_TEST(an_edited_file_is_answered_again),
        FIXTURE_TEST(mistakes_are_told),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
