/* Entries point into the arena, which is emptied together with them. */
#include "data/word_cache.h"

#include "base/hash.h"
#include <stdlib.h>
#include <string.h>

struct word_cache_entry {
    const char *text; /* NULL: empty */
    const int32_t *ids;
    uint16_t length, count;
};

bool word_cache_find(struct word_cache *cache, struct str word, struct token_list *out, uint32_t *slot)
{
    *slot = 0;
    if (word.length > WORD_CACHE_WORD_LIMIT)
        return false;
    if (!cache->entries) {
        cache->entries = calloc(WORD_CACHE_SLOTS, sizeof *cache->entries);
        if (!cache->entries)
            BUG("out of memory for a word cache");
    }
    *slot = (uint32_t)hash128_of(word.data, word.length).low % WORD_CACHE_SLOTS;
    const struct word_cache_entry *entry = &cache->entries[*slot];
    if (!entry->text || !str_equal((struct str){entry->text, entry->length}, word))
        return false;
    if (entry->count)
        memcpy(token_list_reserve(out, entry->count), entry->ids, entry->count * sizeof *entry->ids);
    out->count += entry->count;
    return true;
}

void word_cache_keep(struct word_cache *cache, uint32_t slot, struct str word, const int32_t *ids,
                     size_t count)
{
    if (word.length > WORD_CACHE_WORD_LIMIT || count > UINT16_MAX)
        return;
    if (cache->arena.used > WORD_CACHE_BYTES) {
        arena_reset(&cache->arena);
        memset(cache->entries, 0, WORD_CACHE_SLOTS * sizeof *cache->entries);
    }
    int32_t *kept = ARENA_ARRAY(&cache->arena, int32_t, count + 1);
    memcpy(kept, ids, count * sizeof *ids);
    cache->entries[slot] = (struct word_cache_entry){
        .text = arena_copy_string(&cache->arena, word.data, word.length),
        .ids = kept,
        .length = (uint16_t)word.length,
        .count = (uint16_t)count,
    };
}

void word_cache_release(struct word_cache *cache)
{
    free(cache->entries);
    arena_release(&cache->arena);
    *cache = (struct word_cache){0};
}
