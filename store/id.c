/* See store/id.h. */
#include "store/id.h"

#include <stdio.h>
#include <string.h>

static const char prefix[] = "xxh3:";
enum { PREFIX = sizeof prefix - 1, DIGITS = HASH128_HEX - 1 };

void store_id_to_text(struct hash128 id, char text[STORE_ID_TEXT])
{
    memcpy(text, prefix, PREFIX);
    hash128_to_hex(id, text + PREFIX);
}

bool store_id_from_text(struct str text, struct hash128 *out)
{
    return text.length == PREFIX + DIGITS && str_starts_with(text, prefix) &&
           hash128_from_hex((struct str){text.data + PREFIX, DIGITS}, out);
}

int store_id_compare(struct hash128 a, struct hash128 b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool store_id_scan(struct hash128 *out, struct str text, size_t *position)
{
    while (*position + PREFIX + DIGITS <= text.length) {
        const char *rest = text.data + *position;
        const char *hit = memmem(rest, text.length - *position, prefix, PREFIX);
        if (!hit)
            break;
        size_t at = (size_t)(hit - text.data);
        *position = at + PREFIX;
        if (at > 0 && is_word(hit[-1]))
            continue;
        if (text.length - at < PREFIX + DIGITS || !hash128_from_hex((struct str){hit + PREFIX, DIGITS}, out))
            continue;
        *position += DIGITS;
        return true;
    }
    *position = text.length;
    return false;
}
