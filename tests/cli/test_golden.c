/* golden/tiny.yaml, with every kind of stage, comes out on the twin as its lock says: with any number of
 * threads, and where the processor flushes subnormal numbers (the second argument is a program that makes
 * it). */
#include "base/file.h"
#include "tests/cli/program.h"
#include "tests/support/test.h"

/* Lines of the lock but the first. */
static size_t locked_stages(void)
{
    struct builder lock = {0};
    struct trace trace = {0};
    size_t lines = 0;
    assert_ok(file_read(&lock, "golden/tiny.lock", 1 << 20, &trace), &trace);
    for (size_t i = 0; i < lock.length; i++)
        lines += lock.data[i] == '\n';
    builder_release(&lock);
    assert_true(lines > 1);
    return lines - 1;
}

static void verify_with(int threads)
{
    struct outcome o = program_run("verify golden/tiny.yaml --device cpu --json --threads %d", threads);
    json_t *lines = json_lines(&o.out);
    size_t stages = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (!json_object_get(line, "status"))
            continue;
        stages++;
        if (strcmp(json_text(line, "status"), "same") != 0)
            print_message("stage %s %s: %s\n", json_text(line, "stage"), json_text(line, "status"),
                          json_text(line, "id"));
    }
    if (o.exit_status != 0)
        fail_msg("verify: exit status %d: %s", o.exit_status, builder_text(&o.err));
    assert_int_equal(stages, locked_stages());
    json_decref(lines);
    outcome_release(&o);
}

static void tiny_is_as_locked(void **state)
{
    (void)state;
    verify_with(2);
}

static void tiny_is_as_locked_with_one_thread(void **state)
{
    (void)state;
    verify_with(1);
}

static const char *flushing;

static void tiny_is_as_locked_where_subnormals_are_flushed(void **state)
{
    (void)state;
    const char *usual = program_path;
    if (!flushing)
        skip();
    program_path = flushing;
    verify_with(2);
    program_path = usual;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_is_as_locked),
        cmocka_unit_test(tiny_is_as_locked_with_one_thread),
        cmocka_unit_test(tiny_is_as_locked_where_subnormals_are_flushed),
    };
    program_begin(argc, argv);
    flushing = argc > 2 ? argv[2] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
