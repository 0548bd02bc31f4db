/* See data/charsmap.h. The trie is walked without trust: every step is held against its size. */
#include "data/charsmap.h"
#include "data/utf8.h"
#include <string.h>
#include <utf8proc.h>

enum { MOST_CLUSTER = 5 }; /* bytes of a cluster that is looked up whole */

/* ---- reading ---- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Strict: whole groups of four, padding at the end only. False when it is something else. */
static bool decode(uint8_t *out, size_t *size, struct str text)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.length && text.data[text.length - 1 - padding] == '=')
        padding++;
    if (text.length % 4 != 0)
        return false;
    *size = 0;
    for (size_t i = 0; i < text.length; i += 4) {
        uint32_t group = 0, left = i + 4 == text.length ? 4 - (uint32_t)padding : 4;
        for (uint32_t k = 0; k < 4; k++) {
            int digit = k < left ? digit_of(text.data[i + k]) : 0;
            if (digit < 0)
                return false;
            group = group << 6 | (uint32_t)digit;
        }
        for (uint32_t k = 0; k + 1 < left; k++)
            out[(*size)++] = (uint8_t)(group >> (16 - 8 * k));
    }
    return true;
}

enum status charsmap_read(struct charsmap *out, struct arena *arena, struct str base64, const char *path,
                          struct trace *trace)
{
    uint8_t *bytes = arena_alloc(arena, base64.length / 4 * 3 + 4);
    size_t size = 0;
    uint32_t units = 0;
    if (!decode(bytes, &size, base64))
        return status_fail(trace, INVALID, "%s: expected Base64", path);
    if (size >= sizeof units)
        memcpy(&units, bytes, sizeof units);
    if (size < sizeof units || units == 0 || units % sizeof *out->units != 0 || units > size - sizeof units)
        return status_fail(trace, INVALID, "%s: a map of %zu bytes with a trie of %u", path, size, units);
    out->units = (const uint32_t *)(const void *)bytes + 1; /* of a little-endian machine, as the store is */
    out->unit_count = units / sizeof *out->units;
    out->texts = (struct str){(const char *)bytes + sizeof units + units, size - sizeof units - units};
    return utf8_check(out->texts, path, trace);
}

/* ---- looking up ---- */

static bool has_leaf(uint32_t unit)
{
    return unit >> 8 & 1;
}

static uint32_t label_of(uint32_t unit)
{
    return unit & (UINT32_C(1) << 31 | 0xff);
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & UINT32_C(1) << 9) >> 6);
}

static enum status fail(struct trace *trace)
{
    return status_fail(trace, INVALID, "the normaliser's map (precompiled_charsmap) leads out of itself");
}

/* What the shortest known beginning of `key` stands for. */
static enum status find(bool *is_found, struct str *out, const struct charsmap *map, struct str key,
                        struct trace *trace)
{
    size_t at = offset_of(map->units[0]);
    *is_found = false;
    for (size_t i = 0; i < key.length && key.data[i]; i++) {
        uint8_t byte = (uint8_t)key.data[i];
        at ^= byte;
        if (at >= map->unit_count)
            return fail(trace);
        uint32_t unit = map->units[at];
        if (label_of(unit) != byte)
            return OK;
        at ^= offset_of(unit);
        if (at >= map->unit_count)
            return fail(trace);
        if (!has_leaf(unit))
            continue;
        size_t start = map->units[at] & ~(UINT32_C(1) << 31);
        const char *text = map->texts.data + start;
        if (start >= map->texts.length || ((uint8_t)*text & 0xc0) == 0x80)
            return fail(trace);
        *is_found = true;
        *out = (struct str){text, strnlen(text, map->texts.length - start)};
        return OK;
    }
    return OK;
}

/* The length of the cluster of characters that a reader takes for one, at the start of the text. */
static size_t cluster_length(struct str text)
{
    utf8proc_int32_t state = 0;
    uint32_t last, next;
    size_t length = utf8_read(text, &last);
    if (text.length > 1 && last < 0x80 && last != '\r' && !((uint8_t)text.data[1] & 0x80))
        return length;
    while (length < text.length) {
        size_t more = utf8_read((struct str){text.data + length, text.length - length}, &next);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)last, (utf8proc_int32_t)next, &state))
            break;
        last = next;
        length += more;
    }
    return length;
}

/* Every character of a cluster by itself. */
static enum status add_characters(const struct charsmap *map, struct str cluster, struct builder *out,
                                  struct trace *trace)
{
    for (size_t at = 0, length; at < cluster.length; at += length) {
        uint32_t character;
        bool is_found;
        struct str part = {cluster.data + at, cluster.length - at}, found;
        part.length = length = utf8_read(part, &character);
        TRY(find(&is_found, &found, map, part, trace));
        builder_add(out, is_found ? found.data : part.data, is_found ? found.length : part.length);
    }
    return OK;
}

enum status charsmap_apply(const struct charsmap *map, struct str text, struct builder *out,
                           struct trace *trace)
{
    for (size_t at = 0, length; at < text.length; at += length) {
        struct str cluster = {text.data + at, text.length - at}, found;
        bool is_found = false;
        cluster.length = length = cluster_length(cluster);
        if (length <= MOST_CLUSTER)
            TRY(find(&is_found, &found, map, cluster, trace));
        if (is_found)
            builder_add(out, found.data, found.length);
        else
            TRY(add_characters(map, cluster, out, trace));
    }
    return OK;
}
