/* espalier: one command line, one call. Results go to standard output, everything for people beside them to
 * standard error; the exit status is that of base/status.h. */
#include "base/log.h"
#include "cli/bus.h"
#include "cli/command.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION "0.1.0"

static volatile sig_atomic_t stop_requested;

/* The first signal asks for an orderly end with a checkpoint, the second ends at once. */
static void on_signal(int number)
{
    static const char text[] =
        "stopping: what is running comes to where it can go on from; once more ends at once\n";
    if (stop_requested)
        _exit(128 + number);
    stop_requested = 1;
    if (!log_is_quiet())
        (void)!write(STDERR_FILENO, text, sizeof text - 1);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
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
