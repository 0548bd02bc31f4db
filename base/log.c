/* See base/log.h. */
#include "base/log.h"
#include "base/str.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { MILLISECONDS_BETWEEN_DRAWINGS = 100 };

/* Read by worker threads, set by the command line before there are any. */
static enum log_level current_level = LOG_NORMAL;

void log_set_level(enum log_level level)
{
    current_level = level;
}

bool log_is_quiet(void)
{
    return current_level == LOG_QUIET;
}

/* One call of fprintf for a line, so that lines of several threads do not mix. */
static void print_line(const char *prefix, const char *format, va_list arguments)
{
    char line[2048];
    vsnprintf(line, sizeof line, format, arguments);
    str_make_printable(line, "\n");
    fprintf(stderr, "%s%s\n", prefix, line);
}

#define PRINT_FROM(level, prefix)              \
    do {                                       \
        if (current_level < (level))           \
            return;                            \
        va_list arguments;                     \
        va_start(arguments, format);           \
        print_line(prefix, format, arguments); \
        va_end(arguments);                     \
    } while (0)

void log_note(const char *format, ...)
{
    PRINT_FROM(LOG_NORMAL, "");
}

void log_detail(const char *format, ...)
{
    PRINT_FROM(LOG_VERBOSE, "");
}

void log_warn(const char *format, ...)
{
    PRINT_FROM(LOG_NORMAL, "warning: ");
}

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* 1234567 as "1.23M", small numbers as they are. */
static void print_count(char *out, size_t size, double value)
{
    static const char suffixes[] = " kMGT";
    size_t suffix = 0;
    while (value >= 9999.5 && suffix + 2 < sizeof suffixes) {
        value /= 1000;
        suffix++;
    }
    if (suffix == 0)
        snprintf(out, size, value < 10 && value != (double)(int)value ? "%.2f" : "%.0f", value);
    else
        snprintf(out, size, "%.4g%c", value, suffixes[suffix]);
}

static void print_duration(char *out, size_t size, double seconds)
{
    if (seconds < 100)
        snprintf(out, size, "%.0f s", seconds);
    else if (seconds < 6000)
        snprintf(out, size, "%.0f min", seconds / 60);
    else
        snprintf(out, size, "%.1f h", seconds / 3600);
}

static void draw(struct progress *p, double now, const char *note, const char *start, const char *end)
{
    char done[32], total[32], rate[32], left[32] = "";
    double seconds = now - p->started;
    double per_second = seconds > 0 ? (double)(p->done - p->started_at_done) / seconds : 0;
    print_count(done, sizeof done, (double)p->done);
    print_count(total, sizeof total, (double)p->total);
    print_count(rate, sizeof rate, per_second);
    if (per_second > 0 && p->done < p->total)
        print_duration(left, sizeof left, (double)(p->total - p->done) / per_second);
    fprintf(stderr, "%s%s: %s of %s %s, %s/s%s%s%s%s%s%s", start, p->label, done, total, p->unit, rate,
            *left ? ", " : "", left, *left ? " left" : "", note ? ", " : "", note ? note : "", end);
    p->printed = now;
    p->drawn = true;
}

void progress_start(struct progress *p, const char *label, const char *unit, uint64_t done, uint64_t total)
{
    double now = clock_seconds();
    *p = (struct progress){.label = label,
                           .unit = unit,
                           .total = total,
                           .done = done,
                           .started_at_done = done,
                           .started = now,
                           .printed = now};
}

void progress_update(struct progress *p, uint64_t done, const char *note)
{
    p->done = done;
    if (current_level < LOG_NORMAL)
        return;
    double now = clock_seconds();
    bool terminal = isatty(STDERR_FILENO);
    if (now - p->printed < (terminal ? MILLISECONDS_BETWEEN_DRAWINGS * 1e-3 : LOG_PLAIN_SECONDS))
        return;
    if (terminal)
        draw(p, now, note, "\r\033[K", "");
    else
        draw(p, now, note, "", "\n");
}

/* Leaves the last state on a line of its own, if anything was shown at all. */
void progress_finish(struct progress *p)
{
    if (!p->drawn || current_level < LOG_NORMAL)
        return;
    bool terminal = isatty(STDERR_FILENO);
    draw(p, clock_seconds(), NULL, terminal ? "\r\033[K" : "", "\n");
}
