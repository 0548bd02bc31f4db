/* fork and exec, two pipes, poll. */
#include "tests/cli/program.h"
#include "tests/support/test.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

const char *program_path;
static enum program_user current_user = PROGRAM_USER_SELF;

void program_run_as(enum program_user user)
{
    current_user = user;
}

void program_begin(int argc, char **argv)
{
    program_path = argc > 1 ? argv[1] : "out/espalier";
    program_find_drivers(PROGRAM_DRIVERS_NONE);
}

static void set_drivers(const char *list)
{
    static const char *const names[] = {"VK_ICD_FILENAMES", "VK_DRIVER_FILES"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (list)
            setenv(names[i], list, 1);
        else
            unsetenv(names[i]);
}

void program_find_drivers(enum program_drivers drivers)
{
    set_drivers(drivers == PROGRAM_DRIVERS_NONE ? "/nonexistent.json" : NULL);
    setenv("LSAN_OPTIONS", drivers == PROGRAM_DRIVERS_NONE ? "" : "detect_leaks=0", 1);
}

void program_find_driver(const char *icd)
{
    program_find_drivers(PROGRAM_DRIVERS_FOUND);
    set_drivers(icd);
}

void outcome_release(struct outcome *outcome)
{
    builder_release(&outcome->out);
    builder_release(&outcome->err);
}

/* Splits `line` in place; out[0] is the program. */
static void split_words(char *line, char *out[PROGRAM_MAX_ARGUMENTS + 2])
{
    size_t count = 0;
    out[count++] = (char *)(uintptr_t)program_path;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(count <= PROGRAM_MAX_ARGUMENTS);
        out[count++] = word;
    }
    out[count] = NULL;
}

/* Starts the program with standard output and, unless err is -1, standard error going to the given ends. */
static pid_t spawn(char *line, int out, int err)
{
    char *words[PROGRAM_MAX_ARGUMENTS + 2];
    split_words(line, words);
    int program = open(program_path, O_RDONLY | O_CLOEXEC); /* nobody may not be able to reach the path */
    assert_true(program >= 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        close(program);
        return pid;
    }
    dup2(out, STDOUT_FILENO);
    if (err >= 0)
        dup2(err, STDERR_FILENO);
    if (current_user == PROGRAM_USER_NOBODY && geteuid() == 0 && setuid(65534) != 0)
        _exit(126);
    fexecve(program, words, environ);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void open_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

/* Appends what can be read; false at the end. */
static bool take(int fd, struct builder *out)
{
    char buffer[4096];
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got > 0)
        builder_add(out, buffer, (size_t)got);
    return got > 0;
}

static void take_both(int out, int err, struct outcome *outcome)
{
    struct pollfd ends[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        assert_true(poll(ends, 2, -1) > 0);
        if (ends[0].revents && !take(out, &outcome->out))
            ends[0].fd = -1;
        if (ends[1].revents && !take(err, &outcome->err))
            ends[1].fd = -1;
    }
}

static struct outcome run_line(char *line)
{
    struct outcome outcome = {0};
    int out[2], err[2];
    open_pipe(out);
    open_pipe(err);
    pid_t pid = spawn(line, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    take_both(out[0], err[0], &outcome);
    close(out[0]);
    close(err[0]);
    outcome.exit_status = wait_for(pid);
    return outcome;
}

static char *format_line(const char *format, va_list arguments)
{
    char *line = NULL;
    assert_true(vasprintf(&line, format, arguments) >= 0);
    return line;
}

struct outcome program_run(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_line(format, arguments);
    va_end(arguments);
    struct outcome outcome = run_line(line);
    free(line);
    return outcome;
}

void program_expect(int status, const char *words, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_line(format, arguments), *copy = strdup(line);
    va_end(arguments);
    struct outcome outcome = run_line(copy);
    if (outcome.exit_status != status || !strstr(builder_text(&outcome.err), words))
        fail_msg("espalier %s: exit status %d instead of %d, or \"%s\" not in:\n%s%s", line,
                 outcome.exit_status, status, words, builder_text(&outcome.err), builder_text(&outcome.out));
    outcome_release(&outcome);
    free(line);
    free(copy);
}

void process_start(struct process *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = format_line(format, arguments);
    va_end(arguments);
    int out[2];
    open_pipe(out);
    (void)fcntl(out[1], F_SETPIPE_SZ, 1 << 12); /* see program.h */
    *p = (struct process){.pid = spawn(line, out[1], -1), .out = out[0]};
    close(out[1]);
    free(line);
}

const char *process_read_line(struct process *p)
{
    p->line.length = 0;
    char c;
    while (read(p->out, &c, 1) == 1) {
        if (c == '\n')
            return builder_text(&p->line);
        builder_add(&p->line, &c, 1);
    }
    return NULL;
}

int process_finish(struct process *p)
{
    while (process_read_line(p))
        ;
    close(p->out);
    builder_release(&p->line);
    return wait_for(p->pid);
}

json_t *json_lines(const struct builder *text)
{
    json_t *lines = json_array();
    const char *at = builder_text((struct builder *)(uintptr_t)text);
    while (*at) {
        size_t length = strcspn(at, "\n");
        json_error_t error;
        json_t *line = json_loadb(at, length, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(line))
            fail_msg("no JSON object: %.*s: %s", (int)length, at, error.text);
        json_array_append_new(lines, line);
        at += length + (at[length] == '\n');
    }
    return lines;
}

const json_t *json_find(const json_t *lines, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        const char *text = json_string_value(json_object_get(line, key));
        if (text && strcmp(text, value) == 0)
            return line;
    }
    return NULL;
}

const char *json_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        fail_msg("\"%s\" is no text, or is not there", key);
    return json_string_value(value);
}
