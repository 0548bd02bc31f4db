/* What every test includes: cmocka and the headers it wants before it, and temporary directories. */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/status.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A fresh directory under $TMPDIR or /tmp; heap string. Remove it with test_directory_remove(). */
static inline char *test_directory_create(void)
{
    const char *parent = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/espalier-test-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(path))
        fail_msg("cannot create %s", path);
    return strdup(path);
}

/* Removes it with all that is in it, and frees the string; accepts NULL. */
static inline void test_directory_remove(char *directory)
{
    if (!directory)
        return;
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command) != 0)
        fail_msg("cannot remove %s", directory);
    free(directory);
}

/* Fails with the trace's text when a call that must succeed did not. */
#define assert_ok(call, trace)                                                         \
    do {                                                                               \
        enum status assert_status_ = (call);                                           \
        if (assert_status_ != OK)                                                      \
            fail_msg("%s: %s: %s", #call, status_name(assert_status_), (trace)->text); \
    } while (0)

/* The call fails with `code`, and the trace says `text` somewhere. */
#define assert_fails(call, code, trace, words)                                                         \
    do {                                                                                               \
        enum status assert_status_ = (call);                                                           \
        if (assert_status_ != (code) || !strstr((trace)->text, (words)))                               \
            fail_msg("%s: %s instead of %s, or \"%s\" not in: %s", #call, status_name(assert_status_), \
                     status_name(code), (words), (trace)->text);                                       \
    } while (0)

#endif
