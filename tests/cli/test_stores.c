/* Stores that cannot be used, are damaged, or are shared. Exit status 3 is the machine's, 2 the user's. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void a_file_is_no_store(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    struct outcome o = program_run("run %s --store %s", f->yaml, f->yaml);
    assert_in_range(o.exit_status, 2, 3);
    assert_non_null(strstr(builder_text(&o.err), "p.yaml"));
    outcome_release(&o);
    o = program_run("run %s --store %s/below", f->yaml, f->yaml);
    assert_in_range(o.exit_status, 2, 3);
    outcome_release(&o);
}

static void a_directory_with_other_files_is_no_store(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    program_expect(2, f->directory, "run %s --store %s", f->yaml, f->directory);
}

static void a_later_store_is_refused_untouched(void **state)
{
    struct fixture *f = *state;
    struct trace trace = {0};
    struct builder format = {0};
    char path[4300];
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, "--until init"));
    snprintf(path, sizeof path, "%s/.espalier/format", f->directory);
    assert_ok(file_read(&format, path, 1000, &trace), &trace);
    char *digit = strpbrk(format.data, "0123456789");
    assert_non_null(digit);
    *digit = '9';
    assert_ok(file_write(path, format.data, format.length, &trace), &trace);
    builder_release(&format);
    program_expect(2, ".espalier", "run %s", f->yaml);
}

/* Only reading is allowed below `directory`, or all is as it was. */
static void set_writable(const char *directory, bool is_writable)
{
    char command[4400];
    snprintf(command, sizeof command, "chmod -R %s '%s'", is_writable ? "u+w" : "a+rX,a-w", directory);
    assert_int_equal(system(command), 0);
}

static void a_store_that_cannot_be_written_is_the_machines(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    set_writable(f->directory, false);
    program_run_as(PROGRAM_USER_NOBODY);
    struct outcome o = program_run("run %s", f->yaml);
    program_run_as(PROGRAM_USER_SELF);
    set_writable(f->directory, true);
    int status = o.exit_status;
    bool is_told = strstr(builder_text(&o.err), "Permission denied") &&
                   strstr(builder_text(&o.err), "opening the store");
    outcome_release(&o);
    if (status >= 126)
        skip();
    assert_int_equal(status, 3);
    assert_true(is_told);
}

/* A text that everyone may read, beside the pipeline. */
static void bring_text(struct fixture *f)
{
    struct builder text = {0};
    struct trace trace = {0};
    assert_ok(file_read(&text, f->text, 1 << 20, &trace), &trace);
    fixture_write_file(f, "t.txt", builder_text(&text));
    builder_release(&text);
    snprintf(f->text, sizeof f->text, "t.txt");
}

static void what_is_there_needs_no_permission_to_write(void **state)
{
    struct fixture *f = *state;
    bring_text(f);
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, ""));
    set_writable(f->directory, false);
    program_run_as(PROGRAM_USER_NOBODY);
    struct outcome run = program_run("run %s --device cpu --json", f->yaml);
    struct outcome dry = program_run("run %s --device cpu --json --dry-run", f->yaml);
    struct outcome inspect = program_run("inspect %s:prune", f->yaml);
    struct outcome fsck = program_run("store fsck --store %s/.espalier", f->directory);
    program_run_as(PROGRAM_USER_SELF);
    set_writable(f->directory, true);
    struct outcome *all[] = {&run, &dry, &inspect, &fsck};
    bool is_nobody = run.exit_status != 126;
    for (size_t i = 0; i < 4; i++) {
        if (is_nobody && all[i]->exit_status != 0)
            fail_msg("%zu: exit status %d: %s", i, all[i]->exit_status, builder_text(&all[i]->err));
        if (is_nobody && i < 2) {
            json_t *lines = json_lines(&all[i]->out);
            assert_int_equal(json_array_size(lines), 5);
            for (size_t k = 0; k < json_array_size(lines); k++)
                assert_string_equal(json_text(json_array_get(lines, k), "status"), "cached");
            json_decref(lines);
        }
        outcome_release(all[i]);
    }
    if (!is_nobody)
        skip();
}

static void looking_makes_no_store(void **state)
{
    struct fixture *f = *state;
    char store[4300];
    snprintf(store, sizeof store, "%s/.espalier", f->directory);
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, "--dry-run"));
    program_expect(2, "has not run yet", "inspect %s:prune", f->yaml);
    assert_int_equal(access(store, F_OK), -1);
    program_expect(2, "no stage \"late\"", "inspect %s:late", f->yaml);
    assert_int_equal(access(store, F_OK), -1);
}

/* Flips the last byte of the first object of kind tensor that is found. */
static char damaged[4400];
static int damage(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)at;
    char header[64];
    if (type != FTW_F || info->st_size < 200 || !strstr(path, "/objects/"))
        return 0;
    FILE *file = fopen(path, "r");
    bool is_tensor =
        file && fread(header, 1, sizeof header, file) == sizeof header && strstr(header, " tensor ");
    if (file)
        fclose(file);
    if (!is_tensor)
        return 0;
    snprintf(damaged, sizeof damaged, "%s", path);
    if (chmod(path, 0644) != 0 || !(file = fopen(path, "r+")))
        return -1;
    fseek(file, -1, SEEK_END);
    int last = fgetc(file);
    fseek(file, -1, SEEK_END);
    fputc(last ^ 1, file);
    fclose(file);
    return 1;
}

static json_int_t integer(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        fail_msg("\"%s\" is no integer, or is not there", key);
    return json_integer_value(value);
}

static void damage_is_found_named_and_repaired(void **state)
{
    struct fixture *f = *state;
    char store[4300];
    fixture_write(f, ", steps: 1", "");
    json_t *first = fixture_run(f, "");
    snprintf(store, sizeof store, "%s/.espalier", f->directory);
    assert_int_equal(nftw(store, damage, 8, FTW_PHYS), 1);
    const char *name = strrchr(damaged, '/') + 1;
    struct outcome o = program_run("store fsck --store %s", store);
    assert_int_equal(o.exit_status, 1);
    assert_non_null(strstr(builder_text(&o.out), name));
    outcome_release(&o);
    o = program_run("store fsck --repair --json --store %s", store);
    assert_int_equal(o.exit_status, 1);
    json_t *lines = json_lines(&o.out);
    assert_int_equal(json_array_size(lines), 2);
    assert_non_null(strstr(json_text(json_find(lines, "problem", "damaged"), "subject"), name));
    const json_t *sum = json_array_get(lines, 1);
    assert_int_equal(integer(sum, "problems"), 1);
    assert_int_equal(integer(sum, "set_aside"), 1);
    assert_int_equal(integer(sum, "dropped"), 0);
    assert_true(integer(sum, "forgotten") > 0 && integer(sum, "objects") > 10 &&
                integer(sum, "bytes") > 1000);
    json_decref(lines);
    assert_int_equal(access(damaged, F_OK), -1); /* it lies in damaged/ now */
    outcome_release(&o);
    json_t *second = fixture_run(f, "");
    for (size_t i = 0; i < json_array_size(second); i++) {
        const json_t *line = json_array_get(second, i);
        if (!json_object_get(line, "id"))
            continue;
        bool found = false;
        for (size_t k = 0; k < json_array_size(first); k++)
            found = found || (json_object_get(json_array_get(first, k), "id") &&
                              strcmp(json_text(json_array_get(first, k), "id"), json_text(line, "id")) == 0);
        assert_true(found);
    }
    json_decref(first);
    json_decref(second);
    program_expect(0, "", "store fsck --store %s", store);
}

/* The sum that gc prints, as JSON. */
static json_t *collect(const struct fixture *f, const char *options)
{
    struct outcome o = program_run("store gc --json %s --store %s/.espalier", options, f->directory);
    if (o.exit_status != 0)
        fail_msg("gc: exit status %d: %s", o.exit_status, builder_text(&o.err));
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    assert_int_equal(json_array_size(lines), 1);
    json_t *sum = json_incref(json_array_get(lines, 0));
    json_decref(lines);
    return sum;
}

static void gc_counts_what_goes_and_takes_it(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, ""));
    json_t *nothing = collect(f, "");
    assert_int_equal(integer(nothing, "objects"), 0);
    assert_int_equal(integer(nothing, "results"), 0);
    json_decref(nothing);
    fixture_write(f, ", steps: 2", ""); /* the refs move to other results */
    json_decref(fixture_run(f, ""));
    json_t *dry = collect(f, "--unreferenced --dry-run"), *wet = collect(f, "--unreferenced");
    assert_true(json_is_true(json_object_get(dry, "dry_run")) &&
                json_is_false(json_object_get(wet, "dry_run")));
    static const char *const keys[] = {"objects", "bytes", "results", "checkpoints"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(integer(dry, keys[i]), integer(wet, keys[i]));
    assert_int_equal(integer(wet, "results"), 4 + 1); /* all but init, and the tokens of the text */
    assert_true(integer(wet, "objects") > 4);
    json_decref(dry);
    json_decref(wet);
    json_t *lines = fixture_run(f, "");
    for (size_t i = 0; i < json_array_size(lines); i++)
        assert_string_equal(json_text(json_array_get(lines, i), "status"), "cached");
    json_decref(lines);
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
}

static void two_processes_share_a_store(void **state)
{
    struct fixture *f = *state;
    struct process a, b;
    fixture_write(f, ", steps: 10", "");
    process_start(&a, "run %s --quiet --device cpu --threads 1", f->yaml);
    process_start(&b, "run %s --quiet --device cpu --threads 1", f->yaml);
    assert_int_equal(process_finish(&a), 0);
    assert_int_equal(process_finish(&b), 0);
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_file_is_no_store),
        FIXTURE_TEST(a_directory_with_other_files_is_no_store),
        FIXTURE_TEST(a_later_store_is_refused_untouched),
        FIXTURE_TEST(a_store_that_cannot_be_written_is_the_machines),
        FIXTURE_TEST(what_is_there_needs_no_permission_to_write),
        FIXTURE_TEST(looking_makes_no_store),
        FIXTURE_TEST(damage_is_found_named_and_repaired),
        FIXTURE_TEST(gc_counts_what_goes_and_takes_it),
        FIXTURE_TEST(two_processes_share_a_store),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
