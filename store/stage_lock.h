/* Who is running which stage. A process takes the stage's lock before it looks for a result and keeps it
 * until the result is in the store, so two processes do not compute the same; gc keeps what running stages
 * have made and use. The lock is an flock: it ends with its process, however that ends. */
#ifndef STORE_STAGE_LOCK_H
#define STORE_STAGE_LOCK_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/vec.h"
#include "store/store.h"
#include <signal.h>
#include <stdbool.h>

struct stage_lock {
    const struct store *store;
    bool is_held; /* false in zeroed memory */
    int fd;
    int64_t holder; /* process id of the other holder when not held; 0 unknown */
    char *path;
    struct builder text; /* of the lock file */
};

/* OK with is_held false when another holder has it. */
enum status stage_lock_try(struct stage_lock *out, const struct store *store, struct hash128 key,
                           struct trace *trace) MUST_CHECK;
/* Waits, with a note, for the other holder. INTERRUPTED when *stop becomes nonzero; stop may be NULL. */
enum status stage_lock_wait(struct stage_lock *out, const struct store *store, struct hash128 key,
                            const volatile sig_atomic_t *stop, struct trace *trace) MUST_CHECK;
/* Keeps an object that this stage uses and all that it names from gc, even when no ref and no key reaches it.
 */
enum status stage_lock_use(struct stage_lock *lock, struct hash128 id, struct trace *trace) MUST_CHECK;
void stage_lock_release(struct stage_lock *lock); /* accepts zeroed memory */

/* What running stages need, for gc, which holds the sweep lock. Lock files of dead processes are removed. */
struct stage_lock_summary {
    VEC(struct hash128) keys; /* of running stages */
    VEC(struct hash128) used;
    int64_t
        oldest_ns; /* when the first of them began, by the file system's clock; INT64_MAX when none runs */
};
enum status stage_lock_summarise(struct stage_lock_summary *out, struct arena *arena,
                                 const struct store *store, struct trace *trace) MUST_CHECK;

#endif
