/* Devices that fail under a run: one clear error, exit status 3, and a store that another device goes on from
 * to the same ids. The failures are those of tests/cli/fault_layer.c, over whatever driver the machine has.
 */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <limits.h>

static char layer_path[PATH_MAX];

enum { STEPS = 60 };

static void begin_faults(const struct fixture *f)
{
    char text[PATH_MAX + 512];
    snprintf(text, sizeof text,
             "{\"file_format_version\": \"1.1.2\", \"layer\": {\"name\": \"VK_LAYER_espalier_fault\", "
             "\"type\": \"GLOBAL\", \"library_path\": \"%s\", \"api_version\": \"1.2.0\", "
             "\"implementation_version\": \"1\", \"description\": \"what goes wrong\"}}",
             layer_path);
    fixture_write_file(f, "layer.json", text);
    snprintf(text, sizeof text, "%s/fault", f->directory);
    setenv("VK_LAYER_PATH", f->directory, 1);
    setenv("VK_INSTANCE_LAYERS", "VK_LAYER_espalier_fault", 1);
    setenv("ESPALIER_FAULT", text, 1);
    program_find_drivers(PROGRAM_DRIVERS_FOUND);
}

static void end_faults(void)
{
    program_find_drivers(PROGRAM_DRIVERS_NONE);
    unsetenv("VK_INSTANCE_LAYERS");
    unsetenv("VK_LAYER_PATH");
    unsetenv("ESPALIER_FAULT");
}

/* Skips the test where the machine has no Vulkan driver. */
static void need_a_device(void)
{
    program_find_drivers(PROGRAM_DRIVERS_FOUND);
    struct outcome o = program_run("devices --json");
    program_find_drivers(PROGRAM_DRIVERS_NONE);
    json_t *lines = json_lines(&o.out);
    bool found = json_array_size(lines) > 1;
    json_decref(lines);
    outcome_release(&o);
    if (!found)
        skip();
}

/* The run of the fixture's pipeline on the twin alone, in a store of its own. */
static json_t *run_undisturbed(const struct fixture *f)
{
    char options[4400];
    snprintf(options, sizeof options, "--quiet --store %s/undisturbed", f->directory);
    return fixture_run(f, options);
}

static void assert_same_model(const json_t *a, const json_t *b)
{
    assert_string_equal(json_text(json_find(a, "kind", "train"), "id"),
                        json_text(json_find(b, "kind", "train"), "id"));
}

/* The fault is there when the run begins. */
static void expect_failure(const struct fixture *f, const char *fault, const char *words)
{
    begin_faults(f);
    fixture_write_file(f, "fault", fault);
    program_expect(3, words, "run %s --quiet --device vulkan:0", f->yaml);
    end_faults();
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
}

static void a_device_without_memory_is_named(void **state)
{
    need_a_device();
    fixture_write(*state, ", steps: 3", "");
    expect_failure(*state, "memory", "out of device memory");
}

static void a_device_that_is_lost_is_named(void **state)
{
    need_a_device();
    fixture_write(*state, ", steps: 3", "");
    expect_failure(*state, "submit", "the device was lost");
    expect_failure(*state, "wait", "the device was lost");
}

/* Starts the fault when training reports step 20. */
static void lose_inside_training(const struct fixture *f, const char *fault)
{
    struct process p;
    begin_faults(f);
    process_start(&p, "run %s --json --quiet --device vulkan:0", f->yaml);
    const char *line;
    json_int_t seen = 0;
    while (seen < 20 && (line = process_read_line(&p))) {
        json_t *object = json_loads(line, 0, NULL);
        seen = json_integer_value(json_object_get(object, "step"));
        json_decref(object);
    }
    fixture_write_file(f, "fault", fault);
    assert_int_equal(process_finish(&p), 3);
    end_faults();
}

static void check_lost_inside_training(const struct fixture *f, const char *fault)
{
    need_a_device();
    fixture_write(f, ", steps: 60", "");
    json_t *undisturbed = run_undisturbed(f);
    fixture_write(f, ", steps: 60, checkpoint: 3", "");
    lose_inside_training(f, fault);
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
    char path[4400];
    snprintf(path, sizeof path, "%s/.espalier/checkpoints", f->directory);
    assert_int_equal(access(path, F_OK), 0);
    json_t *resumed = fixture_run(f, "--quiet"); /* on the twin */
    assert_same_model(undisturbed, resumed);
    for (size_t i = 0; i < json_array_size(resumed); i++) {
        const json_t *step = json_object_get(json_array_get(resumed, i), "step");
        if (step) { /* not from the beginning */
            assert_in_range(json_integer_value(step), 18, STEPS);
            break;
        }
    }
    json_decref(resumed);
    json_decref(undisturbed);
}

static void another_device_goes_on_after_a_lost_submission(void **state)
{
    check_lost_inside_training(*state, "submit");
}

static void another_device_goes_on_after_a_lost_wait(void **state)
{
    check_lost_inside_training(*state, "wait");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_device_without_memory_is_named),
        FIXTURE_TEST(a_device_that_is_lost_is_named),
        FIXTURE_TEST(another_device_goes_on_after_a_lost_submission),
        FIXTURE_TEST(another_device_goes_on_after_a_lost_wait),
    };
    program_begin(argc, argv);
    if (argc < 3 || !realpath(argv[2], layer_path))
        fail_msg("the second argument is the layer");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
