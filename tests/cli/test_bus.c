/* cli/bus.c: a file that shrinks under its mapping ends the process with a message that names it. */
#include "base/file.h"
#include "cli/bus.h"
#include "tests/support/test.h"
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Maps a file of three pages, cuts it to `size` bytes, and reads the byte at `place`. */
static void read_shrunken(const char *path, long size, size_t place)
{
    struct mapping mapping;
    struct trace trace = {0};
    bus_catch();
    if (mapping_open(&mapping, path, &trace) != OK || truncate(path, size) != 0)
        _exit(99);
    volatile uint8_t byte = mapping.data[place];
    (void)byte;
    _exit(0);
}

static int run_child(const char *path, long size, size_t place, char *text, size_t room)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        read_shrunken(path, size, place);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], text + length, room - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_file_cut_short_is_named(void **state)
{
    (void)state;
    struct trace trace = {0};
    char text[8192], *directory = test_directory_create(), *path = path_join(directory, "weights.bin");
    static const char bytes[3 * 4096] = {1};
    assert_ok(file_write(path, bytes, sizeof bytes, &trace), &trace);
    assert_int_equal(run_child(path, 4096, 100, text, sizeof text), 0); /* what is left can be read */
    assert_string_equal(text, "");
    assert_ok(file_write(path, bytes, sizeof bytes, &trace), &trace);
    assert_int_equal(run_child(path, 4096, 9000, text, sizeof text), status_exit_code(IO));
    if (strncmp(text, "error: ", 7) != 0 || !strstr(text, "weights.bin was cut short"))
        fail_msg("it said: %s", text);
    free(path);
    test_directory_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_short_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
