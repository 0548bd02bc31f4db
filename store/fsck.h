/* Reads everything again and says what is damaged or missing. */
#ifndef STORE_FSCK_H
#define STORE_FSCK_H

#include "base/status.h"
#include "store/store.h"
#include <stdint.h>

enum fsck_what {
    FSCK_DAMAGED, /* bytes that are not what their name says */
    FSCK_MISSING, /* something that another thing names is not there */
};

struct fsck_problem {
    enum fsck_what what;
    const char *subject; /* an id, or the path of a file in the store or of an input */
    const char *message; /* one or more lines */
};

/* Called once for each problem, in the order of kinds and names. */
typedef void fsck_reporter(void *context, const struct fsck_problem *problem);

enum fsck_mode {
    FSCK_REPORT,
    /* Also moves damaged objects to damaged/, removes damaged small files and locators, and forgets keys
     * whose results are no longer complete, so that the next run computes them again. Inputs and refs stay.
     */
    FSCK_REPAIR,
};

struct fsck_report {
    uint64_t objects, bytes; /* read, external tensors included */
    uint64_t problems;
    /* What was done about them. */
    uint64_t set_aside; /* damaged objects, moved to damaged/ */
    uint64_t forgotten; /* keys, whose stages run again */
    uint64_t dropped;   /* places of tensors in a file of the user's that holds other bytes now */
};

/* DIFFERS when there is a problem, repaired or not. `report` may be NULL. */
enum status store_fsck(struct fsck_report *out, const struct store *store, enum fsck_mode mode,
                       fsck_reporter *report, void *context, struct trace *trace) MUST_CHECK;

#endif
