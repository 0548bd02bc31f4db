/* What is in a store: all objects in the order of their ids, and ids from their first digits. */
#ifndef STORE_LIST_H
#define STORE_LIST_H

#include "base/arena.h"
#include "base/vec.h"
#include "store/object.h"

struct store_entry {
    struct hash128 id;
    char kind[OBJECT_KIND]; /* "" when the object's header is damaged */
    uint64_t size;          /* of the payload; of an external tensor, what its payload would have */
    bool is_external;       /* a tensor in a file of the user's */
};

struct store_listing {
    VEC(struct store_entry) entries; /* ascending by id, no id twice */
};

/* Reads headers only. */
enum status store_list(struct store_listing *out, struct arena *arena, const struct store *store,
                       struct trace *trace) MUST_CHECK;

enum { STORE_PREFIX_DIGITS = 4 };
/* The one id that begins with `prefix`, which has STORE_PREFIX_DIGITS to 32 digits, with or without "xxh3:"
 * before them. INVALID when it is no prefix or several begin so (naming some), NOT_FOUND when none does. */
enum status store_find_prefix(struct hash128 *out, const struct store *store, struct str prefix,
                              struct trace *trace) MUST_CHECK;

#endif
