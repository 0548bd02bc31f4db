/* A growing typed array on an arena: VEC(struct node) nodes; *VEC_PUSH(arena, &nodes) = node; nodes.items[i].
 * Growing leaves the old array behind in the arena. Pointers into `items` do not survive a push; ids do. */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/arena.h"
#include <stdint.h>

#define VEC(type)                 \
    struct {                      \
        type *items;              \
        uint32_t count, capacity; \
    }

/* Room for one more zeroed item; yields its address. */
#define VEC_PUSH(arena, vec)                                                                             \
    (vec_reserve((arena), (void **)&(vec)->items, &(vec)->capacity, (vec)->count, sizeof *(vec)->items), \
     &(vec)->items[(vec)->count++])

/* Of an empty vector: room for `most` items, so that so many pushes leave no old array behind. */
#define VEC_MAKE_ROOM(arena, vec, most)                                             \
    ((vec)->items = arena_array((arena), (size_t)(most) + 1, sizeof *(vec)->items), \
     (vec)->capacity = (uint32_t)(most) + 1)

#define VEC_LAST(vec) ((vec)->items[(vec)->count - 1])

/* Makes capacity exceed count, moving `*items` when needed; new items are zeroed. */
void vec_reserve(struct arena *arena, void **items, uint32_t *capacity, uint32_t count, size_t item_size);

#endif
