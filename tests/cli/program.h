/* Runs the espalier program as a user would: a child process with pipes, no shell. */
#ifndef TESTS_CLI_PROGRAM_H
#define TESTS_CLI_PROGRAM_H

#include "base/str.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The first thing in main: the program under test is the first argument. It finds no Vulkan driver, so that
 * the machine's decide nothing. */
void program_begin(int argc, char **argv);
extern const char *program_path;
/* From here on the program finds the machine's Vulkan drivers, whose leaks are theirs; or none again. */
enum program_drivers { PROGRAM_DRIVERS_NONE, PROGRAM_DRIVERS_FOUND };
void program_find_drivers(enum program_drivers drivers);
void program_find_driver(const char *icd); /* that one alone */

/* From here on the program runs as a user who owns nothing, as the superuser may always write; or as us. When
 * we are no superuser, permissions bind us anyway. Exit status 126: the machine has no such user to become.
 */
enum program_user { PROGRAM_USER_SELF, PROGRAM_USER_NOBODY };
void program_run_as(enum program_user user);

enum { PROGRAM_MAX_ARGUMENTS = 24 };

/* What a finished program left. Killed by signal N: exit_status is 128 + N. */
struct outcome {
    int exit_status;
    struct builder out, err;
};
void outcome_release(struct outcome *outcome);

/* Runs the program with the blank-separated words of the formatted line; no quoting, so no blanks in words.
 */
struct outcome program_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Fails the test, showing what the program printed, unless it exits with `status` and standard error holds
 * `words`. */
void program_expect(int status, const char *words, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A program that is running, its standard output read line by line; standard error goes to the test's. A page
 * of output that nobody has read stops it, so however loaded the machine is, it is not far ahead of the test.
 */
struct process {
    pid_t pid;
    int out;
    struct builder line;
};
void process_start(struct process *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The next line without its end, or NULL when there are no more; valid until the next call. */
const char *process_read_line(struct process *p);
int process_finish(struct process *p); /* waits; status as above */

/* Lines of output as JSON objects; fails the test when one is none. Release the array. */
json_t *json_lines(const struct builder *text);
/* The first object whose `key` is the text `value`, or NULL; borrowed. */
const json_t *json_find(const json_t *lines, const char *key, const char *value);
const char *json_text(const json_t *object, const char *key); /* fails the test when it is no text */

#endif
