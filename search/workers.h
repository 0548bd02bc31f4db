/* Processes that rank the candidates of a search beside this one, each on a device of its own. Searches of
 * one file share their work through the store (search/rank.h), so all that a worker is told is which
 * candidates there are, and nothing comes back: this process finds what they have made, and does what they
 * have not.
 *
 * They are made before a device is opened or a thread begun, as neither lives through fork(), and wait until
 * the candidates are known, of which some may be measured first. They end when this process does, in whatever
 * way: then with a checkpoint. */
#ifndef SEARCH_WORKERS_H
#define SEARCH_WORKERS_H

#include "search/search.h"
#include <signal.h>
#include <sys/types.h>

enum {
    WORKERS_MAX = 15,      /* beside this process */
    WORKERS_STOP = SIGUSR1 /* tells a worker to stop, once more or not: others may have told it before */
};

struct workers {
    struct worker {
        pid_t process;
        int pipe;
    } items[WORKERS_MAX];
    uint32_t count;
    uint32_t number; /* of this process: 0 of the one that made them, which is none, from 1 on of theirs */
    int pipe;        /* a worker's, to read from */
};

/* Returns in every process. IO when one cannot be made; then there are none. */
enum status workers_start(struct workers *out, uint32_t count, struct trace *trace) MUST_CHECK;
/* They begin, with the candidates that the search has. */
void workers_begin(struct workers *workers, const struct search *search);
/* What a worker waits in: leaves the search the candidates that it was told. False: it is not to begin. */
bool workers_wait(struct workers *workers, struct search *search);
/* Waits until they have ended, whom a failure stops. A worker's exit status that is not 0 is a warning that
 * names its device (`names`, by number), as its part has been done here. */
void workers_finish(struct workers *workers, enum status status, const char *const *names);

#endif
