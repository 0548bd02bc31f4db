/* Traces, exit codes, and that our own bugs abort. */
#include "tests/support/test.h"
#include <signal.h>
#include <sys/wait.h>

static void writes_code_and_first_line(void **state)
{
    (void)state;
    struct trace trace = {0};
    assert_int_equal(status_fail(&trace, INVALID, "axis %d out of range", 4), INVALID);
    assert_string_equal(trace.text, "axis 4 out of range");
    assert_int_equal(trace.length, strlen(trace.text));
}

static void adds_context_lines_in_order(void **state)
{
    (void)state;
    struct trace trace = {0};
    assert_int_equal(status_fail(&trace, IO, "first"), IO);
    trace_add(&trace, "while reading %s", "a.onnx");
    trace_add(&trace, "while importing");
    assert_string_equal(trace.text, "first\n  while reading a.onnx\n  while importing");
}

static void fails_afresh_over_an_older_trace(void **state)
{
    (void)state;
    struct trace trace = {0};
    assert_int_equal(status_fail(&trace, IO, "a long first text"), IO);
    assert_int_equal(status_fail(&trace, CORRUPT, "new"), CORRUPT);
    assert_string_equal(trace.text, "new");
}

static void accepts_no_trace(void **state)
{
    (void)state;
    assert_int_equal(status_fail(NULL, DEVICE, "text %d", 1), DEVICE);
    trace_add(NULL, "more");
}

static void cuts_a_full_trace_with_dots(void **state)
{
    (void)state;
    struct trace trace = {0};
    char *text = malloc(sizeof trace.text + 100);
    memset(text, 'x', sizeof trace.text + 99);
    text[sizeof trace.text + 99] = '\0';
    assert_int_equal(status_fail(&trace, INVALID, "%s", text), INVALID);
    free(text);
    assert_int_equal(strlen(trace.text), sizeof trace.text - 1);
    assert_string_equal(trace.text + sizeof trace.text - 5, "x...");
    trace_add(&trace, "nothing fits any more");
    assert_string_equal(trace.text + sizeof trace.text - 5, "x...");
}

static void never_overflows_for_any_length(void **state)
{
    (void)state;
    for (int first = (int)sizeof((struct trace *)0)->text - 12;
         first < (int)sizeof((struct trace *)0)->text + 3; first++)
        for (int second = 0; second < 12; second++) {
            struct trace trace = {0};
            assert_int_equal(status_fail(&trace, INVALID, "%*s", first, "a"), INVALID);
            trace_add(&trace, "%*s", second, "b");
            assert_int_equal(strlen(trace.text), trace.length);
            assert_true(trace.length < sizeof trace.text);
        }
}

static void maps_every_status_to_its_exit_code(void **state)
{
    (void)state;
    static const int expected[] = {
        [OK] = 0, [DIFFERS] = 1, [INVALID] = 2, [UNSUPPORTED] = 2,   [NOT_FOUND] = 2, [CORRUPT] = 2,
        [IO] = 3, [DEVICE] = 3,  [BROKEN] = 4,  [INTERRUPTED] = 130, [NOT_FINITE] = 2};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(status_exit_code((enum status)i), expected[i]);
    assert_string_equal(status_name(CORRUPT), "CORRUPT");
    assert_string_equal(status_name((enum status)99), "(no such status)");
}

static enum status try_call(enum status inner, struct trace *trace)
{
    TRY_WITH(trace, inner == OK ? OK : status_fail(trace, inner, "inner"), "while outer %d", 7);
    return DIFFERS;
}

static void try_returns_early_with_context(void **state)
{
    (void)state;
    struct trace trace = {0};
    assert_int_equal(try_call(NOT_FOUND, &trace), NOT_FOUND);
    assert_string_equal(trace.text, "inner\n  while outer 7");
    assert_int_equal(try_call(OK, &trace), DIFFERS);
}

static void a_bug_aborts_with_a_message(void **state)
{
    (void)state;
    int ends[2], status;
    char text[256] = "";
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        BUG("an impossible %s", "arm");
    }
    close(ends[1]);
    for (ssize_t got = 1, at = 0; got > 0; at += got)
        got = read(ends[0], text + at, sizeof text - 1 - (size_t)at);
    close(ends[0]);
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "bug in espalier: an impossible arm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_code_and_first_line),
        cmocka_unit_test(adds_context_lines_in_order),
        cmocka_unit_test(fails_afresh_over_an_older_trace),
        cmocka_unit_test(accepts_no_trace),
        cmocka_unit_test(cuts_a_full_trace_with_dots),
        cmocka_unit_test(never_overflows_for_any_length),
        cmocka_unit_test(maps_every_status_to_its_exit_code),
        cmocka_unit_test(try_returns_early_with_context),
        cmocka_unit_test(a_bug_aborts_with_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
