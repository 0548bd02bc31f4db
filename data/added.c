/* One pass over the text; only bytes that begin some token are looked at twice. */
#include "data/added.h"

#include "data/utf8.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int compare_by_start_and_length(const void *a, const void *b, void *payload)
{
    const struct added_set *set = payload;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    struct str x = set->tokens.items[left].content, y = set->tokens.items[right].content;
    if (x.data[0] != y.data[0])
        return (unsigned char)x.data[0] < (unsigned char)y.data[0] ? -1 : 1;
    if (x.length != y.length)
        return x.length > y.length ? -1 : 1;
    return left < right ? -1 : left > right;
}

void added_set_sort(struct added_set *set, struct arena *arena)
{
    set->order = ARENA_ARRAY(arena, uint32_t, set->tokens.count);
    for (uint32_t i = 0; i < set->tokens.count; i++) {
        assert(set->tokens.items[i].content.length > 0);
        set->order[i] = i;
        set->starts[(unsigned char)set->tokens.items[i].content.data[0] + 1]++;
    }
    for (int byte = 0; byte < 256; byte++)
        set->starts[byte + 1] += set->starts[byte];
    if (set->tokens.count)
        qsort_r(set->order, set->tokens.count, sizeof *set->order, compare_by_start_and_length, set);
}

static const struct added_token *token_at(const struct added_set *set, const char *text, size_t left)
{
    unsigned char byte = (unsigned char)*text;
    for (uint32_t i = set->starts[byte]; i < set->starts[byte + 1]; i++) {
        const struct added_token *token = &set->tokens.items[set->order[i]];
        if (token->content.length <= left && memcmp(token->content.data, text, token->content.length) == 0)
            return token;
    }
    return NULL;
}

static size_t space_start(struct str text, size_t from, size_t end)
{
    while (end > from) {
        size_t before = utf8_step_back(text.data, end);
        uint32_t character;
        utf8_read((struct str){text.data + before, end - before}, &character);
        if (before < from || !utf8_is_space(character))
            break;
        end = before;
    }
    return end;
}

static size_t space_end(struct str text, size_t at)
{
    while (at < text.length) {
        uint32_t character;
        size_t length = utf8_read((struct str){text.data + at, text.length - at}, &character);
        if (!utf8_is_space(character))
            break;
        at += length;
    }
    return at;
}

struct added_match added_find(const struct added_set *set, struct str text, size_t from)
{
    if (set->tokens.count == 0)
        return (struct added_match){text.length, text.length, NULL};
    for (size_t at = from; at < text.length; at++) {
        const struct added_token *token = token_at(set, text.data + at, text.length - at);
        if (!token)
            continue;
        struct added_match match = {at, at + token->content.length, token};
        if (token->takes_left)
            match.start = space_start(text, from, at);
        if (token->takes_right)
            match.end = space_end(text, match.end);
        return match;
    }
    return (struct added_match){text.length, text.length, NULL};
}
