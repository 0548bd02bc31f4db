/* See base/vec.h. */
#include "base/vec.h"
#include <string.h>

static void grow(struct arena *arena, void **items, uint32_t *capacity, uint32_t count, size_t item_size)
{
    if (count > UINT32_MAX / 2)
        BUG("a vector of more than %u items", count);
    uint32_t grown = count < 4 ? 8 : 2 * count;
    void *moved = arena_array(arena, grown, item_size);
    if (count)
        memcpy(moved, *items, count * item_size);
    *items = moved;
    *capacity = grown;
}

void vec_reserve(struct arena *arena, void **items, uint32_t *capacity, uint32_t count, size_t item_size)
{
    if (count >= *capacity)
        grow(arena, items, capacity, count, item_size);
    else /* an item may have been here before the count was lowered */
        memset((char *)*items + count * item_size, 0, item_size);
}
