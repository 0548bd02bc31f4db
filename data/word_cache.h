/* Remembers how words were encoded. Direct-mapped: a word takes the place of another with the same slot, and
 * when the texts kept grow too large everything is forgotten. Changes no result. */
#ifndef DATA_WORD_CACHE_H
#define DATA_WORD_CACHE_H

#include "base/arena.h"
#include "base/str.h"
#include "data/token_list.h"
#include <stdbool.h>
#include <stdint.h>

enum { WORD_CACHE_SLOTS = 1 << 16, WORD_CACHE_WORD_LIMIT = 64, WORD_CACHE_BYTES = 16 << 20 };

struct word_cache {
    struct word_cache_entry *entries; /* WORD_CACHE_SLOTS of them, NULL before the first word */
    struct arena arena;               /* texts and ids */
};

/* Appends the word's ids and returns true when it is known; else *slot is where word_cache_keep() puts it. */
bool word_cache_find(struct word_cache *cache, struct str word, struct token_list *out, uint32_t *slot);
/* Keeps the ids of a word that was not found. Words longer than WORD_CACHE_WORD_LIMIT are not kept. */
void word_cache_keep(struct word_cache *cache, uint32_t slot, struct str word, const int32_t *ids,
                     size_t count);
void word_cache_release(struct word_cache *cache); /* accepts zeroed memory */

#endif
