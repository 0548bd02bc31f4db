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
    json_t *trace = json_load_file(path, 0, NULL);
    const json_t *events = json_object_get(trace, "traceEvents");
    size_t steps = 0, nodes = 0, products = 0;
    double end = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i), *arguments = json_object_get(e, "args");
        if (strcmp(json_text(e, "ph"), "X") != 0)
            continue;
        double last = json_real_value(json_object_get(e, "ts")) + json_real_value(json_object_get(e, "dur"));
        end = last > end ? last : end;
        bool device = json_integer_value(json_object_get(e, "tid")) == 2;
        steps += !device && strcmp(json_text(e, "name"), "step") == 0;
        nodes += device && *json_text(arguments, "node");
        products += device && strncmp(json_text(e, "name"), "matmul", 6) == 0 &&
                    json_real_value(json_object_get(arguments, "operations")) > 0;
    }
    assert_int_equal(steps, 2);
    assert_true(nodes > 100 && products > 20 && products < nodes);
    assert_true(end > 0 && end < 600e6); /* microseconds since the run began */
    json_decref(trace);
    program_expect(2, "no-such-folder", "run %s --profile %s/no-such-folder/t.json", f->yaml, f->directory);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(results_of_other_numerics_are_other_results),
        FIXTURE_TEST(a_file_may_ask_for_fast),
        FIXTURE_TEST(a_profile_has_lanes_of_host_and_device),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
