/* A run that is killed at any moment and started again comes to the same ids as one that was left alone. The
 * moments are drawn from a fixed seed; most are set by a training step that is seen on standard output, so
 * that they lie inside training on slow and fast machines alike. */
#include "base/file.h"
#include "shaders/scalar/random.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

/* A run may be AHEAD steps further than the test has read (program.h). */
enum { IN_TRAINING = 8, SPACING = 13, AHEAD = 30, STEPS = SPACING * IN_TRAINING + 6 + AHEAD };

static uint32_t draw(uint32_t number, uint32_t limit)
{
    struct gm_words counter = {number, 0, 0, 0};
    return gm_philox(counter, 20240607, 0).x % limit;
}

/* The step that a line reports, or 0. */
static uint32_t step_of(const char *line)
{
    json_t *object = json_loads(line, 0, NULL);
    uint32_t step = (uint32_t)json_integer_value(json_object_get(object, "step"));
    json_decref(object);
    return step;
}

/* Kills at the first step that is not below `step`, `delay` microseconds later. Returns the step. */
static uint32_t kill_at_step(const struct fixture *f, uint32_t step, uint32_t delay, int signal_number)
{
    struct process p;
    process_start(&p, "run %s --json --quiet --device cpu", f->yaml);
    const char *line;
    uint32_t seen = 0;
    while (seen < step && (line = process_read_line(&p)))
        seen = step_of(line);
    usleep(delay);
    kill(p.pid, signal_number);
    int status = process_finish(&p);
    if (status != 128 + signal_number && status != 130)
        fail_msg("the run ended with %d before it could be stopped at step %u", status, step);
    return seen;
}

static void kill_after(const struct fixture *f, uint32_t delay)
{
    struct process p;
    process_start(&p, "run %s --json --quiet --device cpu", f->yaml);
    usleep(delay);
    kill(p.pid, SIGKILL);
    process_finish(&p);
}

/* The member of the record of the stage with that kind. */
static json_int_t recorded(const struct fixture *f, const char *kind, const char *key)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/.espalier/records", f->directory);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    json_int_t found = -1;
    for (struct dirent *e = readdir(directory); e; e = readdir(directory)) {
        snprintf(path, sizeof path, "%s/.espalier/records/%.64s", f->directory, e->d_name);
        json_t *record = e->d_name[0] == '.' ? NULL : json_load_file(path, 0, NULL);
        if (record && strcmp(json_text(record, "kind"), kind) == 0)
            found = json_integer_value(json_object_get(record, key));
        json_decref(record);
    }
    closedir(directory);
    return found;
}

static void assert_same_ids(const json_t *a, const json_t *b)
{
    size_t stages = 0;
    for (size_t i = 0; i < json_array_size(a); i++) {
        const json_t *line = json_array_get(a, i);
        if (!json_object_get(line, "id"))
            continue;
        const json_t *other = NULL;
        for (size_t k = 0; k < json_array_size(b); k++)
            if (json_object_get(json_array_get(b, k), "id") &&
                strcmp(json_text(json_array_get(b, k), "stage"), json_text(line, "stage")) == 0)
                other = json_array_get(b, k);
        assert_non_null(other);
        assert_string_equal(json_text(line, "id"), json_text(other, "id"));
        assert_string_equal(json_text(line, "sha256"), json_text(other, "sha256"));
        stages++;
    }
    assert_int_equal(stages, 5);
}

static json_t *run_undisturbed(const struct fixture *f)
{
    char options[4400];
    snprintf(options, sizeof options, "--quiet --store %s/undisturbed", f->directory);
    return fixture_run(f, options);
}

static void killed_runs_end_with_the_same_ids(void **state)
{
    struct fixture *f = *state;
    char settings[64];
    snprintf(settings, sizeof settings, ", steps: %d", STEPS);
    fixture_write(f, settings, "");
    json_t *undisturbed = run_undisturbed(f);
    snprintf(settings, sizeof settings, ", steps: %d, checkpoint: 3", STEPS);
    fixture_write(f, settings, "");
    kill_after(f, draw(0, 20000));
    kill_after(f, draw(1, 60000));
    for (uint32_t i = 0; i < IN_TRAINING; i++) {
        uint32_t step = SPACING * (i + 1) + draw(2 + i, 6);
        assert_in_range(kill_at_step(f, step, draw(100 + i, 9000), SIGKILL), step, STEPS - 1);
    }
    kill_after(f, 30000 + draw(200, 100000));
    json_t *killed = fixture_run(f, "--quiet");
    assert_same_ids(undisturbed, killed);
    json_int_t resumed_from = recorded(f, "train", "resumed_from");
    assert_in_range(resumed_from, SPACING * IN_TRAINING - 6, STEPS);
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
    json_decref(undisturbed);
    json_decref(killed);
}

static void an_interrupted_run_goes_on_where_it_stopped(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 60", "");
    json_t *undisturbed = run_undisturbed(f);
    uint32_t step =
        kill_at_step(f, 20, 0, SIGINT); /* no checkpoints but the one that the interruption writes */
    json_t *resumed = fixture_run(f, "--quiet");
    assert_same_ids(undisturbed, resumed);
    assert_in_range(recorded(f, "train", "resumed_from"), step, 59);
    json_decref(undisturbed);
    json_decref(resumed);
}

/* Some programs that end others signal a process and then its group: that is one request. */
static void two_signals_at_once_are_one_interruption(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 100000", "");
    for (uint32_t i = 1; i <= 8; i++) {
        struct process p;
        const char *line;
        process_start(&p, "run %s --json --quiet --device cpu", f->yaml);
        for (uint32_t seen = 0; seen < 10 && (line = process_read_line(&p)); seen++)
            ;
        kill(p.pid, SIGTERM);
        usleep(200 * i); /* else the system makes one of them */
        kill(p.pid, SIGTERM);
        assert_int_equal(process_finish(&p), 130);
    }
}

static void interruption_exits_with_130(void **state)
{
    struct fixture *f = *state;
    struct process p;
    struct trace trace = {0};
    struct builder said = {0};
    char errors[4200];
    fixture_write(f, ", steps: 100000", "");
    snprintf(errors, sizeof errors, "%s/errors", f->directory);
    int own = dup(STDERR_FILENO), file = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(own >= 0 && dup2(file, STDERR_FILENO) >= 0);
    process_start(&p, "run %s --json --device cpu", f->yaml);
    dup2(own, STDERR_FILENO);
    close(own);
    close(file);
    const char *line;
    while ((line = process_read_line(&p)) && step_of(line) < 3)
        ;
    kill(p.pid, SIGTERM);
    assert_int_equal(process_finish(&p), 130);
    assert_ok(file_read(&said, errors, 1 << 20, &trace), &trace);
    assert_non_null(strstr(builder_text(&said), "stopping: what is running"));
    builder_release(&said);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(killed_runs_end_with_the_same_ids),
        FIXTURE_TEST(an_interrupted_run_goes_on_where_it_stopped),
        FIXTURE_TEST(two_signals_at_once_are_one_interruption),
        FIXTURE_TEST(interruption_exits_with_130),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
