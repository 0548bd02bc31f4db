/* Doubling growth; exhausted host memory aborts, as everywhere. */
#include "data/token_list.h"

#include "base/file.h"
#include "base/status.h"
#include <stdlib.h>

int32_t *token_list_reserve(struct token_list *list, size_t more)
{
    size_t wanted;
    if (!size_add(list->count, more, &wanted))
        BUG("token list of more than 2^64 tokens");
    if (wanted > list->capacity) {
        size_t capacity = list->capacity ? list->capacity : 256;
        while (capacity < wanted)
            capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
        size_t bytes;
        int32_t *items = size_multiply(capacity, sizeof *items, &bytes) ? realloc(list->items, bytes) : NULL;
        if (!items)
            BUG("out of memory for %zu tokens", capacity);
        list->items = items;
        list->capacity = capacity;
    }
    return list->items + list->count;
}

void token_list_add(struct token_list *list, int32_t id)
{
    *token_list_reserve(list, 1) = id;
    list->count++;
}

void token_list_release(struct token_list *list)
{
    free(list->items);
    *list = (struct token_list){0};
}
