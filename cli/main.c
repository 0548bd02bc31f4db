/* espalier: one command line, one call. Results go to standard output, everything for people beside them to
 * standard error; the exit status is that of base/status.h. */
#include "base/log.h"
#include "cli/bus.h"
#include "cli/command.h"
#include "search/workers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VERSION "0.1.0"

static volatile sig_atomic_t stop_requested;

enum { ONE_REQUEST_MILLISECONDS = 500 };

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The first signal asks for an orderly end with a checkpoint, the second ends at once. Those that come
 * together are one: `timeout`, for one, signals a process and then its group. */
static void on_signal(int number)
{
    static const char text[] =
        "stopping: what is running comes to where it can go on from; once more ends at once\n";
    static int64_t first; /* no signal interrupts another */
    int64_t now = milliseconds();
    if (!stop_requested)
        first = now;
    else if (number != WORKERS_STOP && now - first > ONE_REQUEST_MILLISECONDS)
        _exit(128 + number);
    if (!stop_requested && !log_is_quiet())
        (void)!write(STDERR_FILENO, text, sizeof text - 1);
    stop_requested = 1;
}

static void catch_signals(void)
{
    const int signals[] = {SIGINT, SIGTERM, WORKERS_STOP};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&action.sa_mask, signals[i]);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error, not a death */
}

static int finish(enum status status, const struct trace *trace)
{
    if (status == OK && (fflush(stdout) != 0 || ferror(stdout))) {
        fprintf(stderr, "error: standard output cannot be written\n");
        return status_exit_code(IO);
    }
    if (status != OK)
        fprintf(stderr, "error: %s\n", trace->text);
    return status_exit_code(status);
}

int main(int argc, char **argv)
{
    struct trace trace = {0};
    struct command command = {.stop = &stop_requested};
    if (argc == 2 && (strcmp(argv[1], "--version") == 0)) {
        printf("espalier %s, %s\n", VERSION, numerics_identity(NUMERICS_GOLDEN));
        return finish(OK, &trace);
    }
    catch_signals();
    bus_catch();
    enum status status = command_parse(&command, argc, argv, &trace);
    if (status == OK) {
        log_set_level(command_option(&command, "quiet")     ? LOG_QUIET
                      : command_option(&command, "verbose") ? LOG_VERBOSE
                                                            : LOG_NORMAL);
        status = command.info->run(&command, &trace);
    }
    return finish(status, &trace);
}
