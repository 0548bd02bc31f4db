/* Removes what nothing needs. Kept is what refs and keys reach, what running stages have named, and whatever
 * is younger than the oldest running stage. Nothing is removed when a damaged object makes unclear what is
 * reached. */
#ifndef STORE_GC_H
#define STORE_GC_H

#include "base/status.h"
#include "store/store.h"
#include <stdint.h>

enum gc_keys {
    GC_KEEP_KEYS, /* keep every key's result */
    GC_KEEP_REFS, /* forget keys whose outputs are not all reached from refs or running stages */
};
enum gc_mode { GC_REMOVE, GC_COUNT /* only say what would be removed */ };

struct gc_options {
    enum gc_keys keys;
    enum gc_mode mode;
    uint64_t unused_days; /* with GC_KEEP_KEYS: forget keys not used for so long, unless refs reach them; 0:
                             none */
};

struct gc_report {
    uint64_t objects, bytes; /* objects removed, and the bytes of their files */
    uint64_t places;         /* locators of external tensors */
    uint64_t keys, checkpoints, temporaries, inputs;
};

enum status store_gc(struct gc_report *out, const struct store *store, struct gc_options options,
                     struct trace *trace) MUST_CHECK;

#endif
