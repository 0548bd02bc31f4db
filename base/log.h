/* What people read while espalier works: notes and progress, on standard error. Results go to standard output
 * by cli/. Nothing here reaches hashed bytes. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

void log_set_level(enum log_level level);
bool log_is_quiet(void);                                    /* also in signal handlers */
void log_note(const char *format, ...) PRINTF_LIKE(1, 2);   /* one line, unless quiet */
void log_detail(const char *format, ...) PRINTF_LIKE(1, 2); /* one line, when verbose */
void log_warn(const char *format, ...) PRINTF_LIKE(1, 2);   /* "warning: ...", unless quiet */

/* Progress of long work: on a terminal one line redrawn with rate and time left; elsewhere a plain line every
 * `LOG_PLAIN_SECONDS`. `unit` is plural: "steps", "tokens", "bytes". */
enum { LOG_PLAIN_SECONDS = 10 };
struct progress {
    const char *label, *unit;
    uint64_t total, done, started_at_done; /* started_at_done: already there when resumed */
    double started, printed;               /* seconds, monotonic */
    bool drawn;
};
void progress_start(struct progress *p, const char *label, const char *unit, uint64_t done, uint64_t total);
void progress_update(struct progress *p, uint64_t done, const char *note); /* note: "loss 1.234", or NULL */
void progress_finish(struct progress *p);

double clock_seconds(void); /* monotonic */

#endif
