/* See ir/metadata.h. */
#include "ir/metadata.h"

struct str metadata_find(const struct metadata *metadata, const char *key)
{
    for (uint32_t i = 0; i < metadata->entries.count; i++)
        if (str_is(metadata->entries.items[i].key, key))
            return metadata->entries.items[i].text;
    return (struct str){"", 0};
}

static bool has_key(const struct metadata *metadata, struct str key)
{
    for (uint32_t i = 0; i < metadata->entries.count; i++)
        if (str_equal(metadata->entries.items[i].key, key))
            return true;
    return false;
}

bool metadata_add(struct metadata *metadata, struct arena *arena, struct str key, struct str text)
{
    if (has_key(metadata, key))
        return false;
    struct metadata_entry *entry = VEC_PUSH(arena, &metadata->entries);
    entry->key = (struct str){arena_copy_string(arena, key.data, key.length), key.length};
    entry->text = (struct str){arena_copy_string(arena, text.data, text.length), text.length};
    return true;
}

enum metadata_general metadata_general(struct str key)
{
    static const struct {
        const char *key;
        enum metadata_general kind;
    } known[] = {{"general.architecture", GENERAL_OF_FILE},
                 {"general.alignment", GENERAL_OF_FILE},
                 {"general.file_type", GENERAL_OF_FILE},
                 {"general.quantization_version", GENERAL_OF_FILE},
                 {"general.size_label", GENERAL_OF_SIZE}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is(key, known[i].key))
            return known[i].kind;
    return str_starts_with(key, "general.") ? GENERAL_OF_MODEL : GENERAL_OTHER;
}
