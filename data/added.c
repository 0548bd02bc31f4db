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

enum status added_set_sort(struct added_set *set, struct arena *arena, struct trace *trace)
{
    bool has_words = false;
    set->order = ARENA_ARRAY(arena, uint32_t, set->tokens.count);
    for (uint32_t i = 0; i < set->tokens.count; i++) {
        assert(set->tokens.items[i].content.length > 0);
        set->order[i] = i;
        has_words |= set->tokens.items[i].is_single_word;
        set->starts[(unsigned char)set->tokens.items[i].content.data[0] + 1]++;
    }
    for (int byte = 0; byte < 256; byte++)
        set->starts[byte + 1] += set->starts[byte];
    if (set->tokens.count)
        qsort_r(set->order, set->tokens.count, sizeof *set->order, compare_by_start_and_length, set);
    return has_words ? regex_open(&set->word, STR(UTF8_WORD_CLASS), REGEX_PATTERN, trace) : OK;
}

void added_set_release(struct added_set *set)
{
    regex_release(&set->word);
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

/* Whether the character before `end` (or at `at`) is one of a word. */
static enum status is_word_before(bool *out, const struct added_set *set, struct str text, size_t end,
                                  struct trace *trace)
{
    struct regex_match match = {0};
    size_t start = end ? utf8_step_back(text.data, end) : 0;
    if (start < end)
        TRY(regex_find(&match, &set->word, (struct str){text.data + start, end - start}, 0, trace));
    *out = match.is_found;
    return OK;
}

static enum status is_word_at(bool *out, const struct added_set *set, struct str text, size_t at,
                              struct trace *trace)
{
    uint32_t character;
    size_t length =
        at < text.length ? utf8_read((struct str){text.data + at, text.length - at}, &character) : 0;
    return is_word_before(out, set, (struct str){text.data + at, length}, length, trace);
}

static enum status stands_alone(bool *out, const struct added_set *set, struct str text,
                                const struct added_match *match, struct trace *trace)
{
    bool before = false, behind = false;
    if (match->token->is_single_word) {
        TRY(is_word_before(&before, set, text, match->start, trace));
        TRY(is_word_at(&behind, set, text, match->end, trace));
    }
    *out = !before && !behind;
    return OK;
}

enum status added_find(struct added_match *out, const struct added_set *set, struct str text,
                       struct added_search *search, struct trace *trace)
{
    size_t done = search->done;
    *out = (struct added_match){text.length, text.length, NULL};
    for (size_t at = set->tokens.count ? search->next : text.length; at < text.length; at++) {
        const struct added_token *token = token_at(set, text.data + at, text.length - at);
        if (!token)
            continue;
        struct added_match match = {at, at + token->content.length, token};
        bool is_alone = false;
        TRY(stands_alone(&is_alone, set, text, &match, trace));
        if (!is_alone) { /* what is in it is not searched again */
            at = match.end - 1;
            continue;
        }
        search->next = match.end;
        if (token->takes_left)
            match.start = at > done ? space_start(text, done, at) : done;
        if (token->takes_right)
            match.end = space_end(text, match.end);
        search->done = match.end;
        *out = match;
        return OK;
    }
    search->done = search->next = text.length;
    return OK;
}
