/* Which objects are reached from roots: an object reaches the ids that its payload names. For gc and fsck. */
#ifndef STORE_MARK_H
#define STORE_MARK_H

#include "base/vec.h"
#include "store/layout.h"
#include "store/object.h"

/* Bulk kinds hold data, not ids. Everything else is scanned, so that a kind this version does not know keeps
 * what it names. */
bool mark_is_bulk(const char *kind);
/* Kinds whose every id must be in the store. */
bool mark_is_listing(const char *kind);

struct mark {
    const struct store *store;
    struct hash128 *ids; /* of all objects and external tensors, ascending, no id twice */
    bool *reached;       /* per id */
    size_t count;
    VEC(struct hash128) pending;
    struct arena arena;
};

enum status mark_init(struct mark *out, const struct store *store, struct trace *trace) MUST_CHECK;
/* Reaches `id` and all that it reaches. An id that is not in the store is passed over; an object that is
 * damaged, so that what it names cannot be known, is CORRUPT. */
enum status mark_from(struct mark *mark, struct hash128 id, struct trace *trace) MUST_CHECK;
bool mark_is_reached(const struct mark *mark, struct hash128 id);
void mark_release(struct mark *mark); /* accepts zeroed memory */

#endif
