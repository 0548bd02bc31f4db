/* See base/status.h. */
#include "base/status.h"
#include "base/str.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends to the trace; a text that does not fit ends in "...". */
static void append(struct trace *trace, const char *format, va_list arguments)
{
    size_t room = sizeof trace->text - trace->length;
    int wanted = vsnprintf(trace->text + trace->length, room, format, arguments);
    if (wanted < 0)
        return;
    str_make_printable(trace->text + trace->length, "\n");
    if ((size_t)wanted < room) {
        trace->length += (size_t)wanted;
        return;
    }
    trace->length = sizeof trace->text - 1;
    memcpy(trace->text + trace->length - 3, "...", 3);
}

enum status status_vfail(struct trace *trace, enum status code, const char *format, va_list arguments)
{
    if (code == OK)
        BUG("status_fail called with OK");
    if (trace) {
        trace->length = 0;
        append(trace, format, arguments);
    }
    return code;
}

enum status status_fail(struct trace *trace, enum status code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum status status = status_vfail(trace, code, format, arguments);
    va_end(arguments);
    return status;
}

void trace_add(struct trace *trace, const char *format, ...)
{
    static const char separator[] = "\n  ";
    enum { SEPARATOR = sizeof separator - 1 };
    if (!trace || sizeof trace->text - trace->length <= SEPARATOR)
        return;
    memcpy(trace->text + trace->length, separator, SEPARATOR + 1);
    trace->length += SEPARATOR;
    va_list arguments;
    va_start(arguments, format);
    append(trace, format, arguments);
    va_end(arguments);
}

static const struct {
    const char *name;
    int exit_code;
} statuses[] = {
    // clang-format off
    [OK]          = {"OK", 0},
    [DIFFERS]     = {"DIFFERS", 1},
    [INVALID]     = {"INVALID", 2},
    [UNSUPPORTED] = {"UNSUPPORTED", 2},
    [NOT_FOUND]   = {"NOT_FOUND", 2},
    [NOT_FINITE]  = {"NOT_FINITE", 2},
    [CORRUPT]     = {"CORRUPT", 2},
    [IO]          = {"IO", 3},
    [DEVICE]      = {"DEVICE", 3},
    [BROKEN]      = {"BROKEN", 4},
    [INTERRUPTED] = {"INTERRUPTED", 130},
    // clang-format on
};

static bool is_status(enum status code)
{
    return (size_t)code < sizeof statuses / sizeof *statuses;
}

int status_exit_code(enum status code)
{
    if (!is_status(code))
        BUG("no status %d", (int)code);
    return statuses[code].exit_code;
}

const char *status_name(enum status code)
{
    return is_status(code) ? statuses[code].name : "(no such status)";
}

_Noreturn void bug_abort(const char *file, int line, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: bug in espalier: %s\n", file, line, text);
    abort();
}
