/* What can go wrong in the world, and how it is told.
 *
 * A function that can fail because of its input, the machine or a device returns `enum status` and takes a
 * `struct trace *` last. The failing place writes one line (what was expected, what was found, where) with
 * status_fail(); every level that knows more adds a line with trace_add(). Our own bugs are assertions, never
 * a status; exhausted host memory aborts. trace may be NULL where the caller does not want the text. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum status {
    OK = 0,
    DIFFERS,     /* a comparison found a difference (exit 1) */
    INVALID,     /* the input or the command line is wrong (exit 2) */
    UNSUPPORTED, /* well-formed, but espalier does not do it (exit 2) */
    NOT_FOUND,   /* a named thing does not exist (exit 2) */
    NOT_FINITE,  /* a result is infinite or no number (exit 2) */
    CORRUPT,     /* stored bytes do not match their hash (exit 2) */
    IO,          /* the operating system refused: permission, full disk, ... (exit 3) */
    DEVICE,      /* a device is missing, failed its self-test, ran out of memory or was lost (exit 3) */
    BROKEN, /* a bug in espalier that could be reported in an orderly way, as a missing kernel (exit 4) */
    INTERRUPTED, /* the user stopped us; a checkpoint was written (exit 130) */
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))

/* The text of an error: its first line, then "  while ..." lines, outermost context last. Zero-initialise. */
struct trace {
    char text[4096]; /* NUL-terminated; truncated with "..." when full */
    size_t length;
};

/* Starts the trace afresh with the formatted line and returns `code`. */
enum status status_fail(struct trace *trace, enum status code, const char *format, ...)
    PRINTF_LIKE(3, 4) MUST_CHECK;
enum status status_vfail(struct trace *trace, enum status code, const char *format,
                         va_list arguments) MUST_CHECK;

/* Adds "\n  " and the formatted line, e.g. trace_add(t, "while importing %s", path). */
void trace_add(struct trace *trace, const char *format, ...) PRINTF_LIKE(2, 3);

/* The process exit status that `code` stands for (design: 0, 1, 2, 3, 4, 130). */
int status_exit_code(enum status code);
const char *status_name(enum status code);

/* Return early on failure. Only where nothing needs releasing; else `goto done`. */
#define TRY(call)                         \
    do {                                  \
        enum status try_status_ = (call); \
        if (try_status_ != OK)            \
            return try_status_;           \
    } while (0)
#define TRY_WITH(trace, call, ...)         \
    do {                                   \
        enum status try_status_ = (call);  \
        if (try_status_ != OK) {           \
            trace_add(trace, __VA_ARGS__); \
            return try_status_;            \
        }                                  \
    } while (0)

/* Aborts with file, line and message: an invariant of espalier itself is broken. */
#define BUG(...) bug_abort(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void bug_abort(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
