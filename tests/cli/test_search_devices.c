/* search on several devices: a process for each; what they make is what one makes, and none is left behind.
 */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <glob.h>
#include <signal.h>
#include <stdlib.h>

static const char *const four_devices = "--device cpu --device cpu --device cpu --device cpu --threads 1";

static json_t *search_on(const struct fixture *f, const char *store, const char *devices)
{
    struct outcome o =
        program_run("search %s --json --quiet --store %s/%s %s", f->yaml, f->directory, store, devices);
    if (o.exit_status != 0)
        fail_msg("search: exit status %d: %s", o.exit_status, builder_text(&o.err));
    assert_string_equal(builder_text(&o.err), "");
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    return lines;
}

static void devices_share_the_candidates(void **state)
{
    struct fixture *f = *state;
    fixture_write_search(f, "  rank: {points: [0, 2, 6, 12], keep: 0.5}\n", FIXTURE_SEARCH_STAGES);
    json_t *alone = fixture_search(f, "alone"), *shared = search_on(f, "shared", four_devices);
    assert_true(json_equal(alone, shared));
    json_decref(alone);
    json_decref(shared);
    program_expect(2, "--device: run runs on one device, found 2: \"cpu\", \"cpu\"",
                   "run %s --device cpu --device cpu", f->yaml);
    program_expect(2, "found \"gpu\"", "search %s --device cpu --device gpu", f->yaml);
    program_expect(3, "device", "search %s --device cpu --device vulkan:nowhere", f->yaml);
    program_expect(0, "", "search %s --device cpu --device cpu --list --store %s/none", f->yaml,
                   f->directory);
}

/* The processes that a process has made; fails the test where the system does not tell. */
static int children_of(pid_t process, pid_t out[8])
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)process, (int)process);
    FILE *file = fopen(path, "r");
    if (!file) {
        print_message("no %s\n", path);
        skip();
    }
    while (count < 8 && fscanf(file, "%d", &out[count]) == 1)
        count++;
    fclose(file);
    return count;
}

/* Long enough that it is still running when its processes have been found. */
static void start_long_search(const struct fixture *f, struct process *p, pid_t workers[8], int steps)
{
    const char *line;
    char rank[64], stages[1024];
    snprintf(rank, sizeof rank, "  rank: {points: [0, %d]}\n", steps);
    snprintf(stages, sizeof stages,
             "  - import: {model: teacher}\n"
             "  - score: {data: text, samples: 8, length: 48, micro: 8}\n"
             "  - prune\n"
             "  - train: {data: text, steps: %d, batch: 4, micro: 2, length: 32}\n"
             "  - evaluate: {data: text, length: 48}\n",
             steps);
    fixture_write_search(f, rank, stages);
    process_start(
        p, "search %s --json --quiet --store %s/long --device cpu --device cpu --device cpu --threads 1",
        f->yaml, f->directory);
    while ((line = process_read_line(p)) && !strstr(line, "\"point\":0"))
        ;
    assert_non_null(line);
    assert_int_equal(children_of(p->pid, workers), 2);
}

static void wait_until_gone(const pid_t *processes, int count)
{
    for (int i = 0; i < count; i++)
        for (int tenths = 0; kill(processes[i], 0) == 0; tenths++) {
            if (tenths > 600)
                fail_msg("process %d is still there", (int)processes[i]);
            usleep(100000);
        }
}

/* What it had claimed is done by the others; a killed search leaves none of them running. */
static void workers_may_die_and_do_not_outlive_their_search(void **state)
{
    struct fixture *f = *state;
    struct process p;
    pid_t workers[8];
    const char *line;
    start_long_search(f, &p, workers, 150);
    kill(p.pid, SIGKILL);
    process_finish(&p);
    wait_until_gone(workers, 2);
    start_long_search(f, &p, workers, 150);
    kill(workers[0], SIGKILL);
    int ranked = 0;
    while ((line = process_read_line(&p)))
        ranked += strstr(line, "\"point\":150") && strstr(line, "\"rank\"");
    assert_int_equal(process_finish(&p), 0);
    assert_int_equal(ranked, 6);
}

static size_t count_files(const struct fixture *f, const char *pattern)
{
    glob_t files;
    char path[4300];
    snprintf(path, sizeof path, "%s/long/%s", f->directory, pattern);
    size_t count = glob(path, 0, NULL, &files) == 0 ? files.gl_pathc : 0;
    globfree(&files);
    return count;
}

static void expect_checkpoints_of_all(const struct fixture *f, struct process *p, const pid_t workers[2])
{
    assert_int_equal(process_finish(p), 130);
    wait_until_gone(workers, 2);
    assert_int_equal(count_files(f, "checkpoints/*"), 3);
}

static void wait_until_all_train(const struct fixture *f)
{
    for (int tenths = 0; count_files(f, "records/*.steps.jsonl") < 3; tenths++) {
        assert_true(tenths < 600);
        usleep(100000);
    }
}

static void the_first_interruption_ends_all_with_checkpoints(void **state)
{
    struct fixture *f = *state;
    struct process p;
    pid_t workers[8];
    start_long_search(f, &p, workers, 100000);
    wait_until_all_train(f);
    kill(p.pid, SIGINT);
    expect_checkpoints_of_all(f, &p, workers);
}

/* What the system says of a process in the line that begins with `key`. */
static void read_status(pid_t process, const char *key, char *out, size_t size)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) && strncmp(line, key, strlen(key)) != 0)
        ;
    fclose(file);
    assert_int_equal(strncmp(line, key, strlen(key)), 0);
    snprintf(out, size, "%s", line + strlen(key));
}

static void stop_process(pid_t process)
{
    char said[256] = "";
    kill(process, SIGSTOP);
    while (!strstr(said, "(stopped)")) {
        usleep(10000);
        read_status(process, "State:", said, sizeof said);
    }
}

/* Until a process that is stopped has so many signals still to take. */
static void wait_for_signals(pid_t process, int count)
{
    for (int tenths = 0, pending = 0; pending < count; tenths++) {
        char said[256];
        assert_true(tenths < 600);
        usleep(100000);
        read_status(process, "ShdPnd:", said, sizeof said);
        pending = __builtin_popcountll(strtoull(said, NULL, 16));
    }
}

/* As what manages jobs does: each worker hears of it twice, from the manager and from its search. Stopped, it
 * hears of both at the same time. */
static void one_signal_to_every_process_ends_all_with_checkpoints(void **state)
{
    struct fixture *f = *state;
    struct process p;
    pid_t workers[8];
    start_long_search(f, &p, workers, 100000);
    wait_until_all_train(f);
    for (int i = 0; i < 2; i++) {
        stop_process(workers[i]);
        kill(workers[i], SIGINT);
    }
    kill(p.pid, SIGINT);
    for (int i = 0; i < 2; i++) {
        wait_for_signals(workers[i], 2);
        kill(workers[i], SIGCONT);
    }
    expect_checkpoints_of_all(f, &p, workers);
}

/* The search waits for a worker that does not answer: told once more it ends, and so does the worker. */
static void the_second_interruption_ends_all_at_once(void **state)
{
    struct fixture *f = *state;
    struct process p;
    pid_t workers[8];
    start_long_search(f, &p, workers, 100000);
    wait_until_all_train(f);
    stop_process(workers[0]);
    kill(p.pid, SIGINT);
    wait_for_signals(workers[0], 1);
    usleep(1000000); /* signals that come together count once */
    kill(p.pid, SIGINT);
    assert_int_equal(process_finish(&p), 130);
    kill(workers[0], SIGCONT);
    wait_until_gone(workers, 2);
}

/* Records say who made what: both devices did, and the bytes are the twin's. */
static void two_drivers_share_the_candidates(void **state)
{
    struct fixture *f = *state;
    static const char lavapipe[] = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
                      swiftshader[] = "/usr/lib/chromium/vk_swiftshader_icd.json";
    if (access(lavapipe, R_OK) != 0 || access(swiftshader, R_OK) != 0) {
        print_message("no lavapipe or no SwiftShader\n");
        skip();
    }
    char both[256], command[512];
    fixture_write_search(f, "  rank: {points: [0, 12]}\n", FIXTURE_SEARCH_STAGES);
    json_t *alone = fixture_search(f, "alone");
    snprintf(both, sizeof both, "%s:%s", lavapipe, swiftshader);
    program_find_driver(both);
    json_t *shared = search_on(f, "shared", "--device vulkan:llvmpipe --device vulkan:swiftshader");
    program_expect(2,
                   "expected devices with one driver whose bytes are the same, found \"vulkan:llvmpipe\" and",
                   "search %s --store %s/none --numerics device --device vulkan:llvmpipe --device "
                   "vulkan:swiftshader",
                   f->yaml, f->directory);
    program_find_drivers(PROGRAM_DRIVERS_NONE);
    assert_true(json_equal(alone, shared));
    snprintf(
        command, sizeof command,
        "grep -lr llvmpipe %s/shared/records >/dev/null && grep -lri swiftshader %s/shared/records >/dev/null",
        f->directory, f->directory);
    assert_int_equal(system(command), 0);
    json_decref(alone);
    json_decref(shared);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(devices_share_the_candidates),
        FIXTURE_TEST(workers_may_die_and_do_not_outlive_their_search),
        FIXTURE_TEST(the_first_interruption_ends_all_with_checkpoints),
        FIXTURE_TEST(one_signal_to_every_process_ends_all_with_checkpoints),
        FIXTURE_TEST(the_second_interruption_ends_all_at_once),
        FIXTURE_TEST(two_drivers_share_the_candidates),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
