/* Python's methods of text, against what CPython 3.11 gives; and whole prompts against those that
 * lm-evaluation-harness 0.4.13 made of the same items (golden/tasks/harness.jsonl, by
 * tools/harness_items.py). */
#include "data/letters.h"
#include "data/task.h"
#include "tests/support/test.h"
#include <jansson.h>
#include <string.h>

static void capitalises_as_python(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"he", "He"},
        {"THE BOY", "The boy"},
        {"\xc3\xa9lodie", "\xc3\x89lodie"},
        {"\xc3\x9cNAL AND \xc3\x85SA", "\xc3\x9cnal and \xc3\xa5sa"},
        {"\xce\x9f \xce\x9a\xce\x8e\xce\xa1\xce\x99\xce\x9f\xce\xa3",
         "\xce\x9f \xce\xba\xcf\x8d\xcf\x81\xce\xb9\xce\xbf\xcf\x82"},
        {"\xce\xa3\xce\x91\xce\xa3 \xce\xa3\xce\x91'\xce\xa3, \xce\xa3",
         "\xce\xa3\xce\xb1\xcf\x82 \xcf\x83\xce\xb1'\xcf\x82, \xcf\x83"},
        {"\xce\x91\xce\xa3.\xce\x92 \xce\x91\xce\xa3", "\xce\x91\xcf\x83.\xce\xb2 \xce\xb1\xcf\x82"},
        {"\xc4\xb0PEK", "\xc4\xb0pek"},
        {"A\xc4\xb0"
         "B",
         "Ai\xcc\x87"
         "b"},
        {"\xef\xac\x81sh", "Fish"},
        {"\xc3\x9f"
         "A",
         "Ssa"},
        {"\xc7\x86UNGLA", "\xc7\x85ungla"},
        {"\xe1\xbe\x80"
         "B",
         "\xe1\xbe\x88"
         "b"},
        {"\xef\xac\x85OP", "Stop"},
        {"3 OF THEM", "3 of them"},
        {"", ""},
        {"\xce\x90X", "\xce\x99\xcc\x88\xcc\x81x"},
        {"a\xce\xa3\xcc\x81 ", "A\xcf\x82\xcc\x81 "},
        {"a\xce\xa3\xcc\x81"
         "b",
         "A\xcf\x83\xcc\x81"
         "b"},
        {"\xc5\x92UVRE \xc4\xb0\xc5\x9e", "\xc5\x92uvre i\xcc\x87\xc5\x9f"},
        {"\xd3\x94\xd0\x96", "\xd3\x94\xd0\xb6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct builder b = {0};
        letters_capitalise(&b, str_from(cases[i][0]));
        if (strcmp(builder_text(&b), cases[i][1]) != 0)
            fail_msg("\"%s\" became \"%s\", not \"%s\"", cases[i][0], builder_text(&b), cases[i][1]);
        builder_release(&b);
    }
}

static void strips_as_python(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"  a b ", "a b"},
        {"\xc2\xa0"
         "a\xc2\xa0",
         "a"},
        {"\xe3\x80\x80\xe2\x80\xa8x\xe2\x81\x9f", "x"},
        {"\x1c\x1f y\x1d", "y"},
        {"\xe2\x80\x8bz\xe2\x80\x8b", "\xe2\x80\x8bz\xe2\x80\x8b"},
        {" \x09\x0a\x0d\x0b\x0c", ""},
        {"", ""},
        {"\xe1\x9a\x80m\xe2\x80\x87\xc2\x85", "m"},
        {"\xe1\xa0\x8eo", "\xe1\xa0\x8eo"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str text = str_from(cases[i][0]), stripped = letters_strip(text);
        if (!str_is(stripped, cases[i][1]))
            fail_msg("case %zu: \"" STR_FORMAT "\", not \"%s\"", i, STR_ARGUMENT(stripped), cases[i][1]);
        size_t spaces = letters_spaces_at_end(text);
        assert_int_equal(text.length - spaces, stripped.data + stripped.length - text.data);
    }
}

/* Bytes that are no characters are no spaces, and break nothing. */
static void bytes_that_are_no_text_stay(void **state)
{
    (void)state;
    static const char *const cases[] = {"\x80", "\xc2", "a\xe2\x80", "\xff\x80\x80\x80\x80", "\xa0\xa0"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct builder b = {0};
        assert_true(str_is(letters_strip(str_from(cases[i])), cases[i]));
        letters_capitalise(&b, str_from(cases[i]));
        builder_release(&b);
    }
}

static void check_texts(const struct task *task, uint32_t item, const json_t *texts)
{
    const struct task_item *of = &task->items.items[item];
    assert_int_equal(of->count, json_array_size(texts));
    for (uint32_t i = 0; i < of->count; i++) {
        const struct task_choice *choice = &task->choices.items[of->first + i];
        const json_t *pair = json_array_get(texts, i);
        const char *context = json_string_value(json_array_get(pair, 0)),
                   *continuation = json_string_value(json_array_get(pair, 1));
        if (!str_is(choice->context, context) || !str_is(choice->continuation, continuation))
            fail_msg("item %u: \"" STR_FORMAT "\" and \"" STR_FORMAT "\", the harness has \"%s\" and \"%s\"",
                     item, STR_ARGUMENT(choice->context), STR_ARGUMENT(choice->continuation), context,
                     continuation);
    }
}

static void check_items(const char *file, enum task_kind kind)
{
    struct task task;
    struct trace trace = {0};
    char path[256], line[16384];
    uint32_t checked = 0;
    snprintf(path, sizeof path, "golden/tasks/%s.jsonl", file);
    assert_ok(task_open(&task, kind, path, &(struct task_options){0}, &trace), &trace);
    FILE *harness = fopen("golden/tasks/harness.jsonl", "r");
    assert_non_null(harness);
    while (fgets(line, sizeof line, harness)) {
        json_t *json = json_loads(line, 0, NULL);
        assert_non_null(json);
        const json_t *texts = json_object_get(json, "texts");
        if (texts && strcmp(json_string_value(json_object_get(json, "task")), task_name(kind)) == 0) {
            check_texts(&task, (uint32_t)json_integer_value(json_object_get(json, "item")), texts);
            checked++;
        }
        json_decref(json);
    }
    fclose(harness);
    assert_int_equal(checked, task.items.count);
    assert_int_equal(checked, 24);
    task_release(&task);
}

static void prompts_are_those_of_the_harness(void **state)
{
    (void)state;
    check_items("arc", TASK_arc);
    check_items("arc-flat", TASK_arc);
    check_items("hellaswag", TASK_hellaswag);
    check_items("winogrande", TASK_winogrande);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capitalises_as_python),
        cmocka_unit_test(strips_as_python),
        cmocka_unit_test(bytes_that_are_no_text_stay),
        cmocka_unit_test(prompts_are_those_of_the_harness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
