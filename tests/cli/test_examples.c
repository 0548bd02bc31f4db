/* The committed examples: every pipeline is read and planned, and the recorded results of those of
 * examples/minitron are of the stages that they have now. The texts that they train on need not be there. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <glob.h>

/* The stages of a pipeline as `run --dry-run` plans them in an empty store. Release. */
static json_t *plan(const struct fixture *f, const char *path)
{
    struct outcome o =
        program_run("run %s --dry-run --json --device cpu --store %s/store", path, f->directory);
    if (o.exit_status != 0)
        fail_msg("%s: exit status %d: %s", path, o.exit_status, builder_text(&o.err));
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    assert_true(json_array_size(lines) > 0);
    for (size_t i = 0; i < json_array_size(lines); i++)
        assert_string_equal(json_text(json_array_get(lines, i), "status"), "planned");
    return lines;
}

static void the_demo_is_planned(void **state)
{
    json_decref(plan(*state, "examples/demo.yaml"));
    json_decref(plan(*state, "examples/demo/teacher.yaml"));
    json_decref(plan(*state, "examples/minitron/teacher.yaml"));
}

/* How many of the results have the evaluations of a pipeline, three seeds each; all must be there. */
static size_t count_results(const struct fixture *f, const char *path, const char *results)
{
    json_t *lines = plan(f, path);
    size_t count = 0;
    const char *name = strrchr(path, '/') + 1;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (strcmp(json_text(line, "kind"), "evaluate") != 0)
            continue;
        for (int seed = 1; seed <= 3; seed++, count++) {
            char row[256];
            snprintf(row, sizeof row, "\n%.*s %s %d ", (int)strcspn(name, "."), name,
                     json_text(line, "stage"), seed);
            if (!strstr(results, row))
                fail_msg("examples/minitron/results.txt has no line \"%s\"", row + 1);
        }
    }
    json_decref(lines);
    return count;
}

static void the_reproduction_has_results_of_its_stages(void **state)
{
    struct builder results = {0};
    struct trace trace = {0};
    glob_t files;
    size_t expected = 0, found = 0;
    assert_ok(file_read(&results, "examples/minitron/results.txt", 1 << 20, &trace), &trace);
    assert_int_equal(glob("examples/minitron/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        if (!strstr(files.gl_pathv[i], "teacher"))
            expected += count_results(*state, files.gl_pathv[i], builder_text(&results));
    for (const char *at = builder_text(&results); (at = strchr(at, '\n')) && at[1]; at++)
        found++;
    assert_true(expected > 0);
    assert_int_equal(found, expected);
    globfree(&files);
    builder_release(&results);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_demo_is_planned),
        FIXTURE_TEST(the_reproduction_has_results_of_its_stages),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
