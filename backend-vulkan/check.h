/* What a program looks at while it runs: whether ids are in their range, and, where asked for, whether
 * results are finite. Each check is a launch that sets a word of the program's flags; the words are read once
 * after a run. */
#ifndef BACKEND_VULKAN_CHECK_H
#define BACKEND_VULKAN_CHECK_H

#include "backend-vulkan/commands.h"

struct check {
    const char *label; /* "%7 = embed" */
    struct span span;  /* the ids, or the result */
    uint32_t limit;    /* ids are in [0, limit); 0: a check for finite numbers */
    uint32_t result;   /* which result of the node */
};

struct checks {
    struct arena *arena;       /* borrowed */
    struct commands *commands; /* borrowed */
    const char *label;         /* of the node that is being lowered */
    uint32_t flags;            /* piece of `capacity` words; set by the owner before the first check */
    uint32_t capacity;
    VEC(struct check) items;
};

/* Adds the launch that clears the flags: before all checks. */
void checks_start(struct checks *checks);
void checks_add_ids(struct checks *checks, struct span ids, uint64_t limit);
void checks_add_finite(struct checks *checks, struct span result, uint32_t number);

/* After a run: the node of the first check that failed, and what it found: NOT_FINITE for results, INVALID
 * for ids. */
enum status checks_report(const struct checks *checks, struct memory *memory, struct trace *trace) MUST_CHECK;

#endif
