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

/* The program under another user, who may not write: the superuser may always. */
static int run_as_nobody(const struct fixture *f)
{
    int program = open(program_path, O_RDONLY | O_CLOEXEC);
    int silence = open("/dev/null", O_WRONLY);
    assert_true(program >= 0 && silence >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(silence, STDOUT_FILENO);
        dup2(silence, STDERR_FILENO);
        char *words[] = {"espalier", "run", (char *)(uintptr_t)f->yaml, NULL}, *none[] = {NULL};
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(126);
        fexecve(program, words, none);
        _exit(127);
    }
    int status;
    close(program);
    close(silence);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void a_store_that_cannot_be_written_is_the_machines(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    assert_int_equal(chmod(f->directory, 0555), 0);
    int status = run_as_nobody(f);
    assert_int_equal(chmod(f->directory, 0755), 0);
    if (status >= 126)
        skip();
    assert_int_equal(status, 3);
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
    o = program_run("store fsck --repair --store %s", store);
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
        FIXTURE_TEST(damage_is_found_named_and_repaired),
        FIXTURE_TEST(two_processes_share_a_store),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
