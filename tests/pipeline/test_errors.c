/* Every mistake in golden/errors/NAME.yaml is found from the file alone, with the message of NAME.expected.
 */
#include "base/file.h"
#include "pipeline/pipeline.h"
#include "tests/support/test.h"
#include <glob.h>

enum { EXPECTED_LIMIT = 4096 };

static bool says_what_is_expected(const char *path)
{
    char expected_path[512];
    snprintf(expected_path, sizeof expected_path, "%.*s.expected", (int)(strlen(path) - strlen(".yaml")),
             path);
    struct trace trace = {0}, found = {0};
    struct builder expected = {0};
    struct pipeline pipeline;
    enum status status = pipeline_read(&pipeline, path, &found);
    const char *golden = getenv("GOLDEN");
    if (golden && strcmp(golden, "update") == 0) {
        builder_printf(&expected, "%s\n", found.text);
        assert_ok(file_write(expected_path, expected.data, expected.length, &trace), &trace);
        builder_release(&expected);
    }
    assert_ok(file_read(&expected, expected_path, EXPECTED_LIMIT, &trace), &trace);
    struct str text = {expected.data, expected.length};
    while (text.length > 0 && text.data[text.length - 1] == '\n')
        text.length--;
    bool same = status == INVALID && str_is(text, found.text);
    if (!same)
        print_message("%s: %s\nfound:    %s\nexpected: " STR_FORMAT "\n", path, status_name(status),
                      found.text, STR_ARGUMENT(text));
    if (status == OK)
        pipeline_release(&pipeline);
    builder_release(&expected);
    return same;
}

static void every_mistake_has_its_message(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("golden/errors/*.yaml", 0, NULL, &files), 0);
    assert_true(files.gl_pathc > 50);
    size_t wrong = 0;
    for (size_t i = 0; i < files.gl_pathc; i++)
        wrong += !says_what_is_expected(files.gl_pathv[i]);
    globfree(&files);
    assert_int_equal(wrong, 0);
}

static void missing_file_is_not_found(void **state)
{
    (void)state;
    struct pipeline pipeline;
    struct trace trace = {0};
    assert_fails(pipeline_read(&pipeline, "golden/errors/nowhere.yaml", &trace), NOT_FOUND, &trace,
                 "nowhere.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_has_its_message),
        cmocka_unit_test(missing_file_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
