/* Names for ids: small text files that gc starts from. A name is 1 to 100 of letters, digits, '.', '_', '-',
 * not starting with '.'. */
#ifndef STORE_REF_H
#define STORE_REF_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/vec.h"
#include "store/store.h"

/* NOT_FOUND when the store does not have the object. Replaces what the name meant before. */
enum status store_ref_set(const struct store *store, const char *name, struct hash128 id,
                          struct trace *trace) MUST_CHECK;
enum status store_ref_find(struct hash128 *out, const struct store *store, const char *name,
                           struct trace *trace) MUST_CHECK;
enum status store_ref_remove(const struct store *store, const char *name, struct trace *trace) MUST_CHECK;

struct store_refs {
    VEC(const char *) names; /* in bytewise order */
};
enum status store_ref_list(struct store_refs *out, struct arena *arena, const struct store *store,
                           struct trace *trace) MUST_CHECK;

#endif
