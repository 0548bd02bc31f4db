/* See base/map.h. Linear probing over a power-of-two table of entry numbers, at most half full. */
#include "base/map.h"
#include "base/vec.h"
#include <string.h>
#include <xxhash.h>

static uint64_t hash_text(struct str key)
{
    return key.length ? XXH3_64bits(key.data, key.length) : XXH3_64bits("", 0);
}

static uint64_t hash_number(uint64_t key)
{
    return XXH3_64bits(&key, sizeof key);
}

/* The slot with an entry of this key, or the empty slot where it belongs. There is always an empty one. */
static uint32_t *find_text(const struct map *map, struct str key)
{
    uint32_t mask = map->slot_count - 1;
    for (uint32_t i = (uint32_t)hash_text(key) & mask;; i = (i + 1) & mask) {
        uint32_t *slot = &map->slots[i];
        if (!*slot || str_equal(map->entries[*slot - 1].text, key))
            return slot;
    }
}

static uint32_t *find_number(const struct map *map, uint64_t key)
{
    uint32_t mask = map->slot_count - 1;
    for (uint32_t i = (uint32_t)hash_number(key) & mask;; i = (i + 1) & mask) {
        uint32_t *slot = &map->slots[i];
        if (!*slot || map->entries[*slot - 1].number == key)
            return slot;
    }
}

/* Makes room for one more entry. A map has keys of one kind, so text.data tells which. */
static void reserve(struct map *map, struct arena *arena)
{
    vec_reserve(arena, (void **)&map->entries, &map->capacity, map->count, sizeof *map->entries);
    if (map->count < map->slot_count / 2)
        return;
    if (map->slot_count > UINT32_MAX / 2)
        BUG("a map of more than %u entries", map->count);
    map->slot_count = map->slot_count ? 2 * map->slot_count : 16;
    map->slots = ARENA_ARRAY(arena, uint32_t, map->slot_count);
    for (uint32_t i = 0; i < map->count; i++) {
        const struct map_entry *entry = &map->entries[i];
        *(entry->text.data ? find_text(map, entry->text) : find_number(map, entry->number)) = i + 1;
    }
}

bool map_add_text(struct map *map, struct arena *arena, struct str key, uint32_t value)
{
    reserve(map, arena);
    uint32_t *slot = find_text(map, key);
    if (*slot)
        return false;
    struct str copy = {arena_copy_string(arena, key.data, key.length), key.length};
    map->entries[map->count++] = (struct map_entry){.text = copy, .value = value};
    *slot = map->count;
    return true;
}

bool map_add_number(struct map *map, struct arena *arena, uint64_t key, uint32_t value)
{
    reserve(map, arena);
    uint32_t *slot = find_number(map, key);
    if (*slot)
        return false;
    map->entries[map->count++] = (struct map_entry){.number = key, .value = value};
    *slot = map->count;
    return true;
}

static bool read_slot(const struct map *map, const uint32_t *slot, uint32_t *value)
{
    if (!*slot)
        return false;
    if (value)
        *value = map->entries[*slot - 1].value;
    return true;
}

bool map_find_text(const struct map *map, struct str key, uint32_t *value)
{
    return map->count > 0 && read_slot(map, find_text(map, key), value);
}

bool map_find_number(const struct map *map, uint64_t key, uint32_t *value)
{
    return map->count > 0 && read_slot(map, find_number(map, key), value);
}
