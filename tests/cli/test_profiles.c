/* Numerics that a run is asked for, and where it says its time went. */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <math.h>

static const json_t *line_of(const json_t *lines, const char *stage)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_object_get(line, "status") && strcmp(json_text(line, "stage"), stage) == 0)
            return line;
    }
    fail_msg("no line of stage %s", stage);
    return NULL;
}

static void assert_status(const json_t *lines, const char *stage, const char *status)
{
    assert_string_equal(json_text(line_of(lines, stage), "status"), status);
}

static double loss_of(const json_t *lines)
{
    const json_t *report = json_object_get(line_of(lines, "evaluate"), "report");
    return json_real_value(json_object_get(report, "loss"));
}

static void results_of_other_numerics_are_other_results(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_t *golden = fixture_run(f, ""), *fast = fixture_run(f, "--numerics fast");
    json_t *again = fixture_run(f, "--numerics golden"), *fast_again = fixture_run(f, "--numerics fast");
    assert_status(golden, "train", "ran");
    assert_status(fast, "train", "ran");
    assert_status(again, "train", "cached");
    assert_status(fast_again, "train", "cached");
    double a = loss_of(golden), b = loss_of(fast);
    assert_true(a > 0 && fabs(a - b) < 1e-3 * a);
    json_decref(golden), json_decref(fast), json_decref(again), json_decref(fast_again);
    program_expect(2, "a lock holds golden results, found numerics fast", "run %s --numerics fast --lock",
                   f->yaml);
}

static void a_file_may_ask_for_fast(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "numerics: fast\n");
    json_t *fast = fixture_run(f, ""), *golden = fixture_run(f, "--numerics golden --until train");
    assert_status(golden, "train", "ran");
    json_decref(fast), json_decref(golden);
    struct outcome o = program_run("inspect %s:prune --json", f->yaml);
    assert_int_equal(o.exit_status, 0);
    outcome_release(&o);
    program_expect(2, "has not run yet", "inspect %s:prune --numerics golden", f->yaml);
    program_expect(2, "a lock holds golden results", "run %s --lock", f->yaml);
}

/* What the events of a profile add up to. */
struct lanes {
    size_t steps, nodes, products; /* spans: steps of the host; nodes and matrix products of the device */
    size_t empty, idle, outside;   /* of the nodes: of no duration, of no work, not within the host's */
    double host_start, host_end;   /* microseconds since the run began */
};

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void add_node(struct lanes *lanes, const json_t *event)
{
    const json_t *arguments = json_object_get(event, "args");
    double start = number(event, "ts"), end = start + number(event, "dur");
    assert_true(*json_text(arguments, "node"));
    lanes->nodes++;
    lanes->products +=
        strncmp(json_text(event, "name"), "matmul", 6) == 0 && number(arguments, "operations") > 0;
    lanes->empty += end <= start;
    lanes->idle += number(arguments, "bytes") <= 0;
    lanes->outside += start < lanes->host_start - 1 || end > lanes->host_end + 1;
}

static bool is_on(const json_t *event, int lane)
{
    return strcmp(json_text(event, "ph"), "X") == 0 &&
           json_integer_value(json_object_get(event, "tid")) == lane;
}

static struct lanes lanes_of(const char *path)
{
    struct lanes lanes = {.host_start = INFINITY};
    json_t *trace = json_load_file(path, 0, NULL);
    const json_t *events = json_object_get(trace, "traceEvents");
    assert_non_null(trace);
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        if (!is_on(event, 1))
            continue;
        lanes.steps += strcmp(json_text(event, "name"), "step") == 0;
        double start = number(event, "ts"), end = start + number(event, "dur");
        lanes.host_start = start < lanes.host_start ? start : lanes.host_start;
        lanes.host_end = end > lanes.host_end ? end : lanes.host_end;
    }
    for (size_t i = 0; i < json_array_size(events); i++)
        if (is_on(json_array_get(events, i), 2))
            add_node(&lanes, json_array_get(events, i));
    json_decref(trace);
    return lanes;
}

static void a_profile_has_lanes_of_host_and_device(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_write(f, ", steps: 2", "");
    snprintf(path, sizeof path, "%s/trace.json", f->directory);
    struct outcome o = program_run("run %s --device cpu --profile %s", f->yaml, path);
    assert_int_equal(o.exit_status, 0);
    assert_non_null(strstr(builder_text(&o.err), "GFLOP/s"));
    assert_non_null(strstr(builder_text(&o.err), "matmul_nt"));
    outcome_release(&o);
    struct lanes lanes = lanes_of(path);
    assert_int_equal(lanes.steps, 2);
    assert_true(lanes.nodes > 100 && lanes.products > 20 && lanes.products < lanes.nodes);
    assert_int_equal(lanes.outside, 0);
    assert_true(lanes.host_start >= 0 && lanes.host_end < 600e6);
    program_expect(2, "no-such-folder", "run %s --profile %s/no-such-folder/t.json", f->yaml, f->directory);
}

static const char *lavapipe(void)
{
    static const char icd[] = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";
    const char *other = getenv("ESPALIER_TEST_ICD"), *path = other && *other ? other : icd;
    if (access(path, R_OK) != 0) {
        print_message("no %s\n", path);
        skip();
    }
    return path;
}

/* Stages on lavapipe, with and without a profile: the same bytes, and a lane of the device that holds what it
 * did. */
static void a_profile_of_a_vulkan_device_has_its_time_stamps(void **state)
{
    struct fixture *f = *state;
    char path[512];
    const char *icd = lavapipe();
    program_find_driver(icd);
    fixture_write(f, ", steps: 2", "");
    snprintf(path, sizeof path, "%s/trace.json", f->directory);
    struct outcome plain =
        program_run("run %s --json --quiet --device vulkan:0 --store %s/plain", f->yaml, f->directory);
    struct outcome timed = program_run(
        "run %s --json --quiet --device vulkan:0 --store %s/timed --profile %s", f->yaml, f->directory, path);
    program_find_drivers(PROGRAM_DRIVERS_NONE);
    if (plain.exit_status != 0 || timed.exit_status != 0)
        fail_msg("exit status %d, %d: %s%s", plain.exit_status, timed.exit_status, builder_text(&plain.err),
                 builder_text(&timed.err));
    assert_non_null(strstr(builder_text(&timed.err), "GFLOP/s"));
    json_t *a = json_lines(&plain.out), *b = json_lines(&timed.out);
    static const char *const stages[] = {"init", "train", "score", "prune", "evaluate"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        assert_status(b, stages[i], "ran");
        assert_string_equal(json_text(line_of(a, stages[i]), "sha256"),
                            json_text(line_of(b, stages[i]), "sha256"));
    }
    struct lanes lanes = lanes_of(path);
    assert_int_equal(lanes.steps, 2);
    assert_true(lanes.nodes > 100 && lanes.products > 20 && lanes.products < lanes.nodes);
    assert_int_equal(lanes.empty, 0);
    assert_int_equal(lanes.idle, 0);
    assert_int_equal(lanes.outside, 0);
    json_decref(a), json_decref(b);
    outcome_release(&plain), outcome_release(&timed);
}

static json_t *run_device(const struct fixture *f, const char *options, const char *store)
{
    struct outcome o = program_run("run %s --json --quiet --device vulkan:0 %s --store %s/%s", f->yaml,
                                   options, f->directory, store);
    if (o.exit_status != 0)
        fail_msg("exit status %d: %s", o.exit_status, builder_text(&o.err));
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    return lines;
}

/* The same bytes again in another store, apart from golden results in the same one; its identity names the
 * device, and its results are found by `--device` and `--numerics` only. */
static void device_numerics_are_promised_on_one_device(void **state)
{
    struct fixture *f = *state;
    const char *icd = lavapipe();
    fixture_write(f, ", steps: 2", "");
    program_find_driver(icd);
    json_t *once = run_device(f, "--numerics device", "a"), *again = run_device(f, "--numerics device", "a"),
           *twice = run_device(f, "--numerics device", "b"), *golden = run_device(f, "", "a");
    static const char *const stages[] = {"init", "train", "score", "prune", "evaluate"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        assert_status(once, stages[i], "ran");
        assert_status(again, stages[i], "cached");
        assert_status(twice, stages[i], "ran");
        assert_status(golden, stages[i], "ran"); /* another key */
        assert_string_equal(json_text(line_of(once, stages[i]), "sha256"),
                            json_text(line_of(twice, stages[i]), "sha256"));
    }
    double a = loss_of(once), b = loss_of(golden);
    assert_true(a > 0 && fabs(a - b) < 1e-2 * b);
    json_decref(once), json_decref(again), json_decref(twice), json_decref(golden);
    char command[600];
    snprintf(
        command, sizeof command,
        "grep -r -q '\"numerics\": \"device/1 vendor .* device .* driver .* build .* kernels [0-9a-f]*\"' "
        "%s/b/records",
        f->directory);
    assert_int_equal(system(command), 0);
    program_expect(0, "", "inspect %s:prune --store %s/b --numerics device --device vulkan:0", f->yaml,
                   f->directory);
    program_expect(2, "has not run yet", "inspect %s:prune --store %s/b", f->yaml, f->directory);
    program_expect(2, "a lock holds golden results, found numerics device",
                   "run %s --numerics device --device vulkan:0 --lock", f->yaml);
    program_find_drivers(PROGRAM_DRIVERS_NONE);
}

/* The twin has none, and auto takes no software driver. */
static void device_numerics_need_a_vulkan_device(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "numerics: device\n");
    program_expect(2, "numerics device are computed by Vulkan devices, found --device cpu",
                   "run %s --device cpu", f->yaml);
    program_expect(2, "found --device cpu",
                   "eval %s:init --text golden/tiny/heldout.txt --tokenizer bytes --device cpu "
                   "--numerics device",
                   f->yaml);
    program_expect(3, "auto found none that is hardware", "run %s", f->yaml);
    program_expect(3, "auto found none that is hardware", "inspect %s:init", f->yaml);
    const char *icd = lavapipe();
    program_find_driver(icd);
    program_expect(3, "auto found none that is hardware", "run %s", f->yaml);
    program_expect(0, "", "run %s --device vulkan:0 --until init", f->yaml);
    program_expect(0, "", "run %s --numerics golden --device cpu --until init", f->yaml);
    program_find_drivers(PROGRAM_DRIVERS_NONE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(results_of_other_numerics_are_other_results),
        FIXTURE_TEST(a_file_may_ask_for_fast),
        FIXTURE_TEST(device_numerics_are_promised_on_one_device),
        FIXTURE_TEST(device_numerics_need_a_vulkan_device),
        FIXTURE_TEST(a_profile_has_lanes_of_host_and_device),
        FIXTURE_TEST(a_profile_of_a_vulkan_device_has_its_time_stamps),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
