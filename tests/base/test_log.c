/* What reaches standard error at which level. */
#include "base/log.h"
#include "tests/support/test.h"
#include <fcntl.h>

/* Runs `body` with standard error going to a file; returns its text. */
static const char *captured(void (*body)(void))
{
    static char text[4096];
    FILE *file = tmpfile();
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    body();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    log_set_level(LOG_NORMAL);
    return text;
}

static void say_everything(void)
{
    log_note("note %d", 1);
    log_detail("detail");
    log_warn("watch %s", "out");
}

static void say_quietly(void)
{
    log_set_level(LOG_QUIET);
    say_everything();
}

static void say_verbosely(void)
{
    log_set_level(LOG_VERBOSE);
    say_everything();
}

static void levels_choose_lines(void **state)
{
    (void)state;
    assert_string_equal(captured(say_everything), "note 1\nwarning: watch out\n");
    assert_string_equal(captured(say_quietly), "");
    assert_string_equal(captured(say_verbosely), "note 1\ndetail\nwarning: watch out\n");
}

static void progress_fast(void)
{
    struct progress p;
    progress_start(&p, "train", "steps", 0, 10);
    for (uint64_t i = 1; i <= 10; i++)
        progress_update(&p, i, NULL);
    progress_finish(&p);
}

static void short_work_shows_no_progress(void **state)
{
    (void)state;
    assert_string_equal(captured(progress_fast), "");
}

/* As if the work had begun 20 s ago. */
static void progress_slow(void)
{
    struct progress p;
    progress_start(&p, "train", "steps", 100, 1000);
    p.started -= 20;
    p.printed -= 20;
    progress_update(&p, 300, "loss 1.5");
    progress_update(&p, 301, NULL);
    progress_finish(&p);
}

static void long_work_tells_rate_and_time_left(void **state)
{
    (void)state;
    const char *text = captured(progress_slow);
    /* 200 steps in 20 s since resuming: 10 a second, 700 left. */
    assert_non_null(strstr(text, "train: 300 of 1000 steps, 10"));
    assert_non_null(strstr(text, "70 s left, loss 1.5\n"));
    assert_non_null(strstr(text, "train: 301 of 1000 steps"));
}

static void the_clock_does_not_go_back(void **state)
{
    (void)state;
    double before = clock_seconds();
    for (int i = 0; i < 1000; i++) {
        double now = clock_seconds();
        assert_true(now >= before);
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_choose_lines),
        cmocka_unit_test(short_work_shows_no_progress),
        cmocka_unit_test(long_work_tells_rate_and_time_left),
        cmocka_unit_test(the_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
