/* The command line itself: help, and what is refused before anything runs. Exit status 2 is the user's. */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <sys/stat.h>

#define MODEL "golden/tiny/model.onnx"

static const char *const command_names[] = {
#define COMMAND(name, ...) #name,
#include "cli/commands.def"
};

static void help_lists_every_command(void **state)
{
    (void)state;
    const char *const *names = command_names;
    struct outcome all = program_run("help");
    assert_int_equal(all.exit_status, 0);
    for (size_t i = 0; i < sizeof command_names / sizeof *command_names; i++) {
        assert_non_null(strstr(builder_text(&all.out), names[i]));
        struct outcome one = program_run("help %s", names[i]);
        assert_int_equal(one.exit_status, 0);
        assert_non_null(strstr(builder_text(&one.out), "--store DIR"));
        outcome_release(&one);
    }
    struct outcome dashes = program_run("--help"), nothing = program_run("%s", "");
    struct outcome letter = program_run("-h"), both = program_run("help --help");
    assert_string_equal(builder_text(&all.out), builder_text(&dashes.out));
    assert_string_equal(builder_text(&all.out), builder_text(&letter.out));
    assert_string_equal(builder_text(&all.out), builder_text(&both.out));
    outcome_release(&letter);
    outcome_release(&both);
    assert_string_equal(builder_text(&all.out), builder_text(&nothing.out));
    outcome_release(&all);
    outcome_release(&dashes);
    outcome_release(&nothing);
}

static void every_command_explains_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof command_names / sizeof *command_names; i++) {
        struct outcome help = program_run("help %s", command_names[i]);
        static const char *const forms[] = {"%s --help", "%s -h", "--help %s", "%s --json -h"};
        for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
            char line[64];
            snprintf(line, sizeof line, forms[k], command_names[i]);
            struct outcome o = program_run("%s", line);
            if (o.exit_status != 0)
                fail_msg("%s: exit status %d", line, o.exit_status);
            if (strcmp(command_names[i], "help") != 0)
                assert_string_equal(builder_text(&o.out), builder_text(&help.out));
            outcome_release(&o);
        }
        outcome_release(&help);
    }
}

static void help_lists_the_options_of_a_command(void **state)
{
    (void)state;
    struct outcome o = program_run("help run");
    assert_non_null(strstr(builder_text(&o.out), "--dry-run"));
    assert_non_null(strstr(builder_text(&o.out), "--until STAGE"));
    assert_null(strstr(builder_text(&o.out), "--passes"));
    outcome_release(&o);
}

static void says_its_version_and_profile(void **state)
{
    (void)state;
    struct outcome o = program_run("--version");
    assert_int_equal(o.exit_status, 0);
    assert_non_null(strstr(builder_text(&o.out), "espalier "));
    assert_non_null(strstr(builder_text(&o.out), "golden/"));
    outcome_release(&o);
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
    program_expect(2, "there is no command \"prune\"", "prune");
    program_expect(2, "there is no command \"x\"", "help x");
    program_expect(2, "expected a command before its options, found \"--json\"", "--json run a.yaml");
    program_expect(2, "run has no option --untill", "run a.yaml --untill x");
    program_expect(2, "run has no option -x", "run a.yaml -x");
    program_expect(2, "verify has no option --store", "verify a.yaml --stores x");
    program_expect(2, "--json takes no value", "run a.yaml --json=yes");
    program_expect(2, "--until needs a value", "run a.yaml --until");
    program_expect(2, "expected FILE.yaml, found 0 arguments", "run");
    program_expect(2, "found 2 arguments", "run a.yaml b.yaml");
    program_expect(2, "too many arguments", "run 1 2 3 4 5 6 7 8 9");
    program_expect(2, "--lock needs all stages", "run golden/tiny.yaml --lock --until import");
    program_expect(2, "expected golden, device or fast, found \"exact\"",
                   "run golden/tiny.yaml --numerics exact");
    program_expect(2, "a lock holds golden results, found numerics fast",
                   "verify golden/tiny.yaml --numerics fast");
    program_expect(2, "store: expected ls, show, fsck or gc", "store rm");
}

static void refuses_bad_numbers(void **state)
{
    (void)state;
    program_expect(2, "--threads: expected an integer from 1 to 2147483647", "devices --threads 0");
    program_expect(2, "--threads", "devices --threads -1");
    program_expect(2, "--threads", "devices --threads 99999999999999999999");
    program_expect(2, "--length",
                   "eval golden/tiny/model.onnx --text README.md --tokenizer bytes --length 1");
}

static void refuses_bad_devices(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    program_expect(2, "--device: expected auto, cpu, vulkan", "run %s --device gpu", f->yaml);
    program_expect(3, "Vulkan", "run %s --device vulkan", f->yaml);
    program_expect(3, "Vulkan", "verify golden/tiny.yaml --device vulkan");
    program_expect(2, "found \"gpu\"", "run %s --device gpu --dry-run", f->yaml);
    program_expect(2, "found \"vulkan:\"", "inspect golden/tiny/model.onnx --device vulkan:");
    program_find_drivers(PROGRAM_DRIVERS_FOUND);
    program_expect(3, "Vulkan", "run %s --device vulkan:no-such-device", f->yaml);
    program_expect(3, "Vulkan", "run %s --device vulkan:99", f->yaml);
    program_expect(3, "no Vulkan device matches \"99\"", "run %s --device vulkan:99 --dry-run", f->yaml);
    program_find_drivers(PROGRAM_DRIVERS_NONE);
    char store[4300]; /* no stage ran before the device was looked for */
    snprintf(store, sizeof store, "%s/.espalier", f->directory);
    assert_int_equal(access(store, F_OK), -1);
}

static void generate_continues_a_text(void **state)
{
    (void)state;
    const char *model = "golden/tiny/model.onnx --tokenizer bytes --quiet --device cpu";
    struct outcome o =
        program_run("generate %s --prompt The --tokens 9 --temperature 0.5 --seed 4 --json", model);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    const json_t *line = json_array_get(lines, 0);
    assert_int_equal(json_array_size(json_object_get(line, "tokens")), 9);
    assert_int_equal(strlen(json_text(line, "text")), 12); /* a byte a token */
    assert_int_equal(strncmp(json_text(line, "text"), "The", 3), 0);
    json_decref(lines);
    outcome_release(&o);
    program_expect(2, "give a prompt", "generate %s", model);
    program_expect(2, "expected a number from 0 to 1000, found \"hot\"",
                   "generate %s --prompt a --temperature hot", model);
    program_expect(2, "--tokens", "generate %s --prompt a --tokens 0", model);
    program_expect(2, "has no tokenizer", "generate golden/tiny/model.onnx --prompt a");
}

/* Status 2 whatever is given for a file: the machine is not to blame. */
static void bad_files_are_the_users_mistake(void **state)
{
    struct fixture *f = *state;
    static const char *const forms[] = {"inspect %s",
                                        "inspect %s:stage",
                                        "run %s",
                                        "verify %s",
                                        "diff %s " MODEL,
                                        "opt " MODEL " --passes remove_layers{layers=1} -o %s/below/x.onnx",
                                        "export %s --to onnx -o nowhere.onnx",
                                        "eval %s --text README.md --tokenizer bytes",
                                        "eval " MODEL " --text %s --tokenizer bytes --device cpu",
                                        "eval " MODEL " --text README.md --tokenizer %s",
                                        "export " MODEL " --to hf --tokenizer %s -o /dev/null/x",
                                        "opt " MODEL " --passes %s -o x.onnx"};
    static const char *const endings[] = {"", ".onnx", ".ir", ".yaml"};
    static const struct {
        const char *name, *target;
    } files[] = {{"device", "/dev/null"}, {"folder", "/"},          {"gone", "/nowhere/at/all"},
                 {"circle", "circle"},    {"below", "/dev/null/x"}, {"binary", NULL},
                 {"empty", NULL}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (size_t e = 0; e < sizeof endings / sizeof *endings; e++) {
            char path[4300], name[32], line[4500];
            snprintf(name, sizeof name, "%s%s", files[i].name, endings[e]);
            snprintf(path, sizeof path, "%s/%s", f->directory, name);
            if (!files[i].target)
                fixture_write_file(f, name,
                                   strcmp(files[i].name, "empty") == 0 ? "" : "\x89PNG\r\n\x1a\x01\xff");
            else
                assert_int_equal(
                    symlink(strcmp(files[i].target, "circle") == 0 ? name : files[i].target, path), 0);
            for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
                snprintf(line, sizeof line, forms[k], path);
                struct outcome o = program_run("%s", line);
                if (o.exit_status != 2 || o.err.length < 12 || o.out.length > 0)
                    fail_msg("%s: exit status %d: %s%s", line, o.exit_status, builder_text(&o.err),
                             builder_text(&o.out));
                outcome_release(&o);
            }
        }
}

static void missing_files_are_the_users_mistake(void **state)
{
    (void)state;
    program_expect(2, "nowhere.yaml", "run nowhere.yaml");
    program_expect(2, "no pipeline file nowhere.yaml", "verify nowhere.yaml");
    program_expect(2, "nowhere: expected an .onnx file", "inspect nowhere");
    program_expect(2, "or an object id, found nothing of that name", "inspect nowhere");
    program_expect(2, "found a file of another kind", "inspect README.md");
    program_expect(2, "lambada, found \"piqua\"",
                   "eval golden/tiny/model.onnx --tokenizer bytes --task piqua");
    program_expect(2, "no store", "inspect 0123456789 --store nowhere");
    program_expect(2, "nowhere.onnx", "inspect nowhere.onnx");
    program_expect(2, "nowhere.ir", "inspect nowhere.ir");
    program_expect(2, "nowhere.yaml", "inspect nowhere.yaml:import");
    program_expect(2, "nowhere.txt", "eval golden/tiny/model.onnx --tokenizer bytes --text nowhere.txt");
    program_expect(2, "nowhere",
                   "eval golden/tiny/model.onnx --tokenizer nowhere.json --text golden/tiny.yaml");
    program_expect(2, "nowhere", "store ls --store nowhere");
}

static void errors_of_a_pipeline_say_where(void **state)
{
    struct fixture *f = *state;
    fixture_write_file(
        f, "p.yaml",
        "espalier: 1\ninputs:\n  text: {text: nowhere.txt}\nstages:\n"
        "  - init: {arch: {layers: 1, hidden: 8, heads: 3, kv_heads: 2, ffn: 8}, tokenizer: bytes}\n");
    program_expect(2, "p.yaml:5", "run %s", f->yaml);
    fixture_write_file(f, "p.yaml",
                       "espalier: 1\ninputs:\n  text: {text: nowhere.txt}\nstages:\n"
                       "  - init: {arch: {layers: 1, hidden: 8, heads: 2, ffn: 8}, tokenizer: bytes}\n"
                       "  - evaluate: {data: text}\n");
    program_expect(2, "nowhere.txt", "run %s --device cpu", f->yaml);
    program_expect(2, "no stage \"late\"", "run %s --until late", f->yaml);
    fixture_write_file(f, "p.yaml", "espalier: 1\nstages:\n  - prunes\n");
    program_expect(2, "p.yaml:3:5: unknown stage kind \"prunes\"", "run %s", f->yaml);
}

static void auto_does_without_vulkan(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    program_expect(0, "", "run %s --device auto", f->yaml);
    program_expect(0, "", "devices");
}

static void options_may_stand_anywhere(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    program_expect(0, "", "run --dry-run %s --device=cpu", f->yaml);
    program_expect(0, "", "run --device cpu --dry-run -- %s", f->yaml);
    program_expect(2, "--dry-run", "run -- --dry-run");
}

static void search_lists_candidates(void **state)
{
    (void)state;
    struct outcome o = program_run("search examples/search/minitron-4b.yaml --json");
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    assert_int_equal(json_array_size(lines), 18);
    const json_t *chosen = json_find(lines, "candidate", "l32-d3072-h24-f9216");
    assert_non_null(chosen);
    assert_int_equal(json_integer_value(json_object_get(chosen, "parameters")), 4190109696);
    json_decref(lines);
    outcome_release(&o);
    o = program_run("search examples/search/minitron-8b.yaml");
    assert_non_null(strstr(builder_text(&o.out), "15 candidates of 160 combinations"));
    outcome_release(&o);
    program_expect(2, "nowhere.yaml", "search nowhere.yaml");
}

static void devices_names_the_twin(void **state)
{
    (void)state;
    program_find_drivers(PROGRAM_DRIVERS_FOUND);
    struct outcome o = program_run("devices --json");
    program_find_drivers(PROGRAM_DRIVERS_NONE);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    const json_t *twin = json_find(lines, "type", "twin");
    assert_non_null(twin);
    assert_string_equal(json_text(twin, "self_test"), "pass");
    for (size_t i = 0; i < json_array_size(lines); i++) {
        static const char *const keys[] = {"name", "api", "driver", "type", "self_test", "why"};
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            json_text(json_array_get(lines, i), keys[k]);
        assert_true(json_is_integer(json_object_get(json_array_get(lines, i), "index")));
    }
    json_decref(lines);
    outcome_release(&o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_lists_every_command),
        cmocka_unit_test(every_command_explains_itself),
        cmocka_unit_test(help_lists_the_options_of_a_command),
        cmocka_unit_test(says_its_version_and_profile),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(refuses_bad_numbers),
        FIXTURE_TEST(refuses_bad_devices),
        cmocka_unit_test(generate_continues_a_text),
        FIXTURE_TEST(bad_files_are_the_users_mistake),
        cmocka_unit_test(missing_files_are_the_users_mistake),
        FIXTURE_TEST(errors_of_a_pipeline_say_where),
        FIXTURE_TEST(auto_does_without_vulkan),
        FIXTURE_TEST(options_may_stand_anywhere),
        cmocka_unit_test(search_lists_candidates),
        cmocka_unit_test(devices_names_the_twin),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
