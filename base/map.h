/* Open-addressing maps on an arena: from text or from a 64-bit number to a 32-bit value. Zero-initialise.
 * Keys are copied into the arena. Iterating goes in order of insertion, so that nothing printed depends on
 * hash order. Nothing is ever removed. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/arena.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

struct map_entry {
    struct str text; /* key of a text map */
    uint64_t number; /* key of a number map */
    uint32_t value;
};

struct map {
    struct map_entry *entries; /* in order of insertion */
    uint32_t count, capacity;
    uint32_t *slots; /* entry index + 1, 0 empty; power-of-two size */
    uint32_t slot_count;
};

/* Sets key to value; returns false, changing nothing, when the key is there already. */
bool map_add_text(struct map *map, struct arena *arena, struct str key, uint32_t value);
bool map_add_number(struct map *map, struct arena *arena, uint64_t key, uint32_t value);
/* The value of key through `value` (may be NULL); false when absent. */
bool map_find_text(const struct map *map, struct str key, uint32_t *value);
bool map_find_number(const struct map *map, uint64_t key, uint32_t *value);

#endif
