/* Memory that is freed all at once. Everything allocated from an arena lives until arena_release() or
 * arena_reset(); there is no free of one piece. Memory is zeroed and aligned to 16 bytes. Exhausted host
 * memory aborts with a message. Not for tensor data, which is mapped or owned by an executor. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/status.h"
#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; NULL when empty */
    size_t used;                /* bytes handed out, for budgets and tests */
};

void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed room for `count` items of `size` bytes; the product is checked and aborts on overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size) __attribute__((malloc, returns_nonnull));
char *arena_copy_string(struct arena *arena, const char *text, size_t length); /* adds a NUL */
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
void arena_reset(struct arena *arena);   /* empty, keeping one chunk for reuse */
void arena_release(struct arena *arena); /* empty; accepts a zeroed arena */

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_array((arena), (count), sizeof(type)))

#endif
