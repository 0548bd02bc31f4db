/* Published files as items: the texts are those that lm-evaluation-harness 0.4 makes of the same records. */
#include "base/file.h"
#include "data/csv.h"
#include "data/task.h"
#include "tests/support/test.h"

struct fixture {
    char *directory;
    char path[4200], other[4200];
};

static void write_text(char path[4200], const struct fixture *f, const char *name, const char *text)
{
    struct trace trace = {0};
    snprintf(path, 4200, "%s/%s", f->directory, name);
    assert_ok(file_write(path, text, strlen(text), &trace), &trace);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->directory = test_directory_create();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

static struct task open_items(struct fixture *f, enum task_kind kind, const char *name, const char *text,
                              struct task_options options)
{
    struct task task;
    struct trace trace = {0};
    write_text(f->path, f, name, text);
    assert_ok(task_open(&task, kind, f->path, &options, &trace), &trace);
    return task;
}

static void expect_choice(const struct task *task, uint32_t item, uint32_t choice, const char *context,
                          const char *continuation, uint32_t characters)
{
    const struct task_choice *c = &task->choices.items[task->items.items[item].first + choice];
    if (!str_is(c->context, context) || !str_is(c->continuation, continuation))
        fail_msg("found \"" STR_FORMAT "\" and \"" STR_FORMAT "\"", STR_ARGUMENT(c->context),
                 STR_ARGUMENT(c->continuation));
    assert_int_equal(c->characters, characters);
}

static void piqa_asks_for_a_goal(void **state)
{
    struct fixture *f = *state;
    write_text(f->other, f, "labels.lst", "1\n0\n");
    struct task task =
        open_items(f, TASK_piqa, "a.jsonl",
                   "{\"goal\": \"boil an egg\", \"sol1\": \"fry it\", \"sol2\": \"in w\\u00e4ter\"}\n\n"
                   "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}",
                   (struct task_options){.labels = f->other});
    assert_int_equal(task.items.count, 2);
    assert_int_equal(task.items.items[0].gold, 1);
    assert_int_equal(task.items.items[1].gold, 0);
    expect_choice(&task, 0, 0, "Question: boil an egg\nAnswer:", " fry it", 6);
    expect_choice(&task, 0, 1, "Question: boil an egg\nAnswer:", " in w\xc3\xa4ter", 8);
    task_release(&task);
}

static void arc_is_read_in_both_forms(void **state)
{
    struct fixture *f = *state;
    struct task task = open_items(
        f, TASK_arc, "a.jsonl",
        "{\"question\": {\"stem\": \"Why?\", \"choices\": [{\"text\": \"x\", \"label\": \"1\"}, {\"text\": \"yy\", "
        "\"label\": \"2\"}]}, \"answerKey\": \"2\"}\n"
        "{\"question\": \"Who?\", \"choices\": {\"text\": [\"u\", \"v\", \"w\"], \"label\": [\"A\", \"B\", \"C\"]}, "
        "\"answerKey\": \"A\"}\n",
        (struct task_options){0});
    assert_int_equal(task.items.items[0].gold, 1);
    assert_int_equal(task.items.items[1].gold, 0);
    expect_choice(&task, 0, 1, "Question: Why?\nAnswer:", " yy", 2);
    expect_choice(&task, 1, 2, "Question: Who?\nAnswer:", " w", 1);
    task_release(&task);
}

static void hellaswag_is_cleaned(void **state)
{
    struct fixture *f = *state;
    struct task task = open_items(
        f, TASK_hellaswag, "a.jsonl",
        "{\"activity_label\": \"Cooking\", \"ctx_a\": \"A man [title] cooks.\", \"ctx_b\": \"the PAN is\", "
        "\"label\": \"1\", \"endings\": [\" [step] hot.\", \"very  cold [substeps] now.\"]}\n",
        (struct task_options){0});
    assert_int_equal(task.items.items[0].gold, 1);
    expect_choice(&task, 0, 0, "Cooking: A man. cooks. The pan is", "  hot.", 5);
    expect_choice(&task, 0, 1, "Cooking: A man. cooks. The pan is", " very cold now.", 14);
    task_release(&task);
}

static void winogrande_puts_the_options_in(void **state)
{
    struct fixture *f = *state;
    struct task task =
        open_items(f, TASK_winogrande, "a.jsonl",
                   "{\"sentence\": \"Ann met Sue and _ waved.\", \"option1\": \"Ann\", \"option2\": "
                   "\"Sue\", \"answer\": \"2\"}\n",
                   (struct task_options){0});
    assert_int_equal(task.items.items[0].gold, 1);
    expect_choice(&task, 0, 0, "Ann met Sue and Ann", " waved.", 6);
    expect_choice(&task, 0, 1, "Ann met Sue and Sue", " waved.", 6);
    task_release(&task);
}

/* An example of which the choices differ in what comes before is the right one, whole. */
static void winogrande_answers_examples(void **state)
{
    struct fixture *f = *state;
    static const char item[] =
        "{\"sentence\": \"Ann met Sue and _ waved.\", \"option1\": \"Ann\", \"option2\": "
        "\"Sue\", \"answer\": \"2\"}\n";
    write_text(f->other, f, "b.jsonl", item);
    struct task task = open_items(f, TASK_winogrande, "a.jsonl", item,
                                  (struct task_options){.examples = f->other, .shots = 1});
    expect_choice(&task, 0, 0, "Ann met Sue and Sue waved.\n\nAnn met Sue and Ann", " waved.", 6);
    task_release(&task);
}

static void mmlu_names_the_subject_and_answers_examples(void **state)
{
    struct fixture *f = *state;
    write_text(f->other, f, "odd_things_dev.csv", "\" One, \"\"two\"\"? \",p,q,r,s,C\nThree?,1,2,3,4,A\n");
    struct task task = open_items(f, TASK_mmlu, "odd_things_test.csv", "\"Line\nend?\",a,\"b,c\",d,e,B\r\n",
                                  (struct task_options){.examples = f->other, .shots = 1});
    assert_int_equal(task.items.items[0].gold, 1);
    assert_int_equal(task.items.items[0].count, 4);
    expect_choice(&task, 0, 3,
                  "The following are multiple choice questions (with answers) about odd things.\n\n"
                  "One, \"two\"?\nA. p\nB. q\nC. r\nD. s\nAnswer: C\n\n"
                  "Line\nend?\nA. a\nB. b,c\nC. d\nD. e\nAnswer:",
                  " D", 1);
    task_release(&task);
}

static void blimp_has_no_context(void **state)
{
    struct fixture *f = *state;
    struct task task = open_items(f, TASK_blimp, "a.jsonl",
                                  "{\"sentence_good\": \"He is.\", \"sentence_bad\": \"He are.\"}\n",
                                  (struct task_options){0});
    assert_int_equal(task.items.items[0].gold, 0);
    expect_choice(&task, 0, 1, "", " He are.", 7);
    task_release(&task);
}

static void lambada_asks_for_the_last_word(void **state)
{
    struct fixture *f = *state;
    struct task task =
        open_items(f, TASK_lambada, "a.jsonl", "{\"text\": \"to be or not\"}\n{\"text\": \"a b\"}\n",
                   (struct task_options){.limit = 1});
    assert_int_equal(task.items.count, 1);
    expect_choice(&task, 0, 0, "to be or", " not", 3);
    task_release(&task);
}

static void mistakes_name_the_line(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum task_kind kind;
        const char *name, *text, *words;
    } cases[] = {
        {TASK_piqa, "a.jsonl", "{\"goal\": 1}\n", "line 1"},
        {TASK_piqa, "a.jsonl", "\n{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n",
         "expected label from 0 to 1"},
        {TASK_piqa, "a.jsonl", "{\"goal\"\n", "not valid JSON"},
        {TASK_piqa, "a.jsonl", "[]\n", "line 1"},
        {TASK_piqa, "a.jsonl", "\n", "there are no items"},
        {TASK_piqa, "a.csv", "x\n", "expected JSON lines"},
        {TASK_arc, "a.jsonl",
         "{\"question\": \"q\", \"choices\": {\"text\": [\"a\"], \"label\": [\"A\"]}, \"answerKey\": "
         "\"B\"}\n",
         "label of no choice"},
        {TASK_arc, "a.jsonl", "{\"question\": \"q\", \"answerKey\": \"B\"}\n", "1 to 16 choices"},
        {TASK_winogrande, "a.jsonl",
         "{\"sentence\": \"s\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}\n",
         "expected a \"_\""},
        {TASK_winogrande, "a.jsonl",
         "{\"sentence\": \"_\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"0\"}\n",
         "answer from 1 to 2"},
        {TASK_hellaswag, "a.jsonl",
         "{\"activity_label\": \"a\", \"ctx_a\": \"\", \"ctx_b\": \"\", \"label\": 0, "
         "\"endings\": [1]}\n",
         "ending 0"},
        {TASK_mmlu, "a_test.csv", "q,a,b,c,d\n", "found 5 fields"},
        {TASK_mmlu, "a_test.csv", "q,a,b,c,d,E\n", "letter from A to D"},
        {TASK_mmlu, "a_test.csv", "ok?,a,b,c,d,A\n\"q,a,b,c,d,A\n", "line 2: a quote is not closed"},
        {TASK_mmlu, "a_test.csv", "\"q\"x,a,b,c,d,A\n", "comma after a quote"},
        {TASK_mmlu, "a.jsonl", "{}\n", "a .csv file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace trace = {0};
        struct task task;
        struct task_options options = {0};
        write_text(f->path, f, cases[i].name, cases[i].text);
        assert_fails(task_open(&task, cases[i].kind, f->path, &options, &trace), INVALID, &trace,
                     cases[i].words);
    }
}

static void missing_labels_and_examples_are_named(void **state)
{
    struct fixture *f = *state;
    struct trace trace = {0};
    struct task task;
    write_text(
        f->path, f, "a.jsonl",
        "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n");
    write_text(f->other, f, "labels", "1\n");
    struct task_options options = {.labels = f->other};
    assert_fails(task_open(&task, TASK_piqa, f->path, &options, &trace), INVALID, &trace, "no label for it");
    write_text(f->other, f, "labels", "1\n2\n");
    trace = (struct trace){0};
    assert_fails(task_open(&task, TASK_piqa, f->path, &options, &trace), INVALID, &trace,
                 "a label from 0 to 1");
    trace = (struct trace){0};
    options = (struct task_options){.shots = 2};
    assert_fails(task_open(&task, TASK_piqa, f->path, &options, &trace), INVALID, &trace,
                 "no file of examples");
    write_text(f->other, f, "b.jsonl", "{\"sentence_good\": \"a\", \"sentence_bad\": \"b\"}\n");
    trace = (struct trace){0};
    options = (struct task_options){.shots = 1, .examples = f->other};
    assert_fails(task_open(&task, TASK_blimp, f->other, &options, &trace), UNSUPPORTED, &trace,
                 "follow a text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(piqa_asks_for_a_goal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arc_is_read_in_both_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hellaswag_is_cleaned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(winogrande_puts_the_options_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(winogrande_answers_examples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mmlu_names_the_subject_and_answers_examples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blimp_has_no_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lambada_asks_for_the_last_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_name_the_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_labels_and_examples_are_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
