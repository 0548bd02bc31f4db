/* How long a token takes in each candidate, timed on the device of the search: candidates beyond the limits
 * of the file are taken out.
 *
 * A measured number is no golden value, and no stage's: it would differ each time. So what was measured is
 * kept in the store as a record, under a key of the base's graph, the candidate's sizes, what was run and the
 * device, and measured once: a search that was killed, or is run again, decides as before. */
#ifndef SEARCH_LATENCY_H
#define SEARCH_LATENCY_H

#include "pipeline/run.h"
#include "search/search.h"

/* Whether the search file limits it. */
static inline bool latency_is_wanted(const struct search *search)
{
    return search->space.latency.is_set;
}

/* Fills in `latency` of every candidate and takes out those that are beyond the limits; INVALID when none is
 * left. In mode RUN_DRY nothing is measured, and what no record has stays NaN, and in. */
enum status latency_limit(struct search *search, const struct run_options *options,
                          struct trace *trace) MUST_CHECK;

#endif
