/* Encoding: text, cut at added tokens, normalised, cut at those of normalised text, split into words, and
 * each word turned into symbols and merged. Byte-level words are merged whole; words over characters, which
 * can be as long as the text, are cut at seams first (data/bpe.h). */
#include "data/tokenizer_json.h"
#include "data/utf8.h"
#include <string.h>

struct encoding {
    struct tokenizer *tokenizer;
    struct token_list *out;
};

/* Merges the scratch symbols and appends them, remembering them for `word`. */
static enum status finish_word(struct encoding *e, struct str word, uint32_t slot, struct trace *trace)
{
    struct token_list *symbols = &e->tokenizer->symbols;
    if (symbols->count >= INT32_MAX)
        return status_fail(trace, UNSUPPORTED, "a word of %zu symbols is too long to merge", symbols->count);
    size_t count = bpe_merge(&e->tokenizer->bpe, symbols->items, symbols->count);
    if (count)
        memcpy(token_list_reserve(e->out, count), symbols->items, count * sizeof *symbols->items);
    e->out->count += count;
    word_cache_keep(&e->tokenizer->cache, slot, word, symbols->items, count);
    return OK;
}

/* Adds the unknown token, or makes it stand for one thing more. */
static void add_unknown(const struct tokenizer *t, struct token_list *symbols)
{
    bool is_fused = t->fuses_unknown && symbols->count && symbols->items[symbols->count - 1] == t->unknown;
    if (!is_fused)
        token_list_add(symbols, t->unknown);
}

static enum status encode_bytes(struct encoding *e, struct str word, struct trace *trace)
{
    struct tokenizer *t = e->tokenizer;
    uint32_t slot;
    if (word_cache_find(&t->cache, word, e->out, &slot))
        return OK;
    t->symbols.count = 0;
    token_list_reserve(&t->symbols, word.length);
    for (size_t i = 0; i < word.length; i++) {
        int place = (i > 0 ? SYMBOL_FOLLOWS : 0) | (i + 1 == word.length ? SYMBOL_IS_LAST : 0);
        const int32_t *ids = t->affixed_bytes ? t->affixed_bytes[place] : t->byte_ids;
        int32_t id = ids[(unsigned char)word.data[i]];
        if (id >= 0)
            token_list_add(&t->symbols, id);
        else if (t->unknown >= 0)
            add_unknown(t, &t->symbols);
        else
            return status_fail(trace, INVALID,
                               "the text has the byte 0x%02x, for which the tokenizer has no token",
                               (unsigned char)word.data[i]);
    }
    return finish_word(e, word, slot, trace);
}

/* The symbols of one character: its own, those of its bytes, or the unknown one. Returns how many; 0: none.
 */
static size_t character_symbols(const struct tokenizer *t, int32_t out[4], struct str text,
                                uint32_t character)
{
    uint32_t id;
    if (map_find_number(&t->characters, character, &id)) {
        out[0] = (int32_t)id;
        return 1;
    }
    size_t count = 0;
    while (count < text.length && t->byte_ids[(unsigned char)text.data[count]] >= 0) {
        out[count] = t->byte_ids[(unsigned char)text.data[count]];
        count++;
    }
    if (count == text.length)
        return count;
    out[0] = t->unknown;
    return t->unknown >= 0;
}

/* A stretch of text between two seams, its symbols in the tokenizer's scratch list. */
static enum status finish_stretch(struct encoding *e, struct str stretch, struct trace *trace)
{
    uint32_t slot;
    if (stretch.length == 0 || word_cache_find(&e->tokenizer->cache, stretch, e->out, &slot))
        return OK;
    return finish_word(e, stretch, slot, trace);
}

static enum status encode_characters(struct encoding *e, struct str word, struct trace *trace)
{
    struct tokenizer *t = e->tokenizer;
    struct token_list *symbols = &t->symbols;
    size_t start = 0, length;
    symbols->count = 0;
    for (size_t at = 0; at < word.length; at += length) {
        uint32_t character;
        int32_t ids[4];
        length = utf8_read((struct str){word.data + at, word.length - at}, &character);
        size_t count = character_symbols(t, ids, (struct str){word.data + at, length}, character);
        if (count == 0)
            return status_fail(trace, INVALID,
                               "the text has the character U+%04X, for which the tokenizer has no token",
                               character);
        int32_t last = symbols->count ? symbols->items[symbols->count - 1] : t->unknown;
        if (last != t->unknown && ids[0] != t->unknown && bpe_is_seam(&t->bpe, last, ids[0])) {
            TRY(finish_stretch(e, (struct str){word.data + start, at - start}, trace));
            symbols->count = 0;
            start = at;
        }
        for (size_t i = 0; i < count; i++)
            if (ids[i] == t->unknown)
                add_unknown(t, symbols);
            else
                token_list_add(symbols, ids[i]);
    }
    return finish_stretch(e, (struct str){word.data + start, word.length - start}, trace);
}

/* The symbols of one character with its affixes: its own, those of its bytes, or the unknown one. */
static enum status add_affixed(struct encoding *e, struct str symbol, uint32_t character, struct trace *trace)
{
    struct tokenizer *t = e->tokenizer;
    uint32_t id;
    if (map_find_text(&t->ids, symbol, &id)) {
        token_list_add(&t->symbols, (int32_t)id);
        return OK;
    }
    bool has_bytes = true;
    for (size_t i = 0; i < symbol.length; i++)
        has_bytes &= t->byte_ids[(unsigned char)symbol.data[i]] >= 0;
    for (size_t i = 0; has_bytes && i < symbol.length; i++)
        token_list_add(&t->symbols, t->byte_ids[(unsigned char)symbol.data[i]]);
    if (!has_bytes && t->unknown < 0)
        return status_fail(trace, INVALID,
                           "the text has the character U+%04X, for which the tokenizer has no token",
                           character);
    if (!has_bytes)
        add_unknown(t, &t->symbols);
    return OK;
}

static enum status encode_affixed(struct encoding *e, struct str word, struct trace *trace)
{
    struct builder symbol = {0};
    enum status status = OK;
    uint32_t slot;
    if (word_cache_find(&e->tokenizer->cache, word, e->out, &slot))
        return OK;
    e->tokenizer->symbols.count = 0;
    for (size_t at = 0, length; status == OK && at < word.length; at += length) {
        uint32_t character;
        length = utf8_read((struct str){word.data + at, word.length - at}, &character);
        int place = (at > 0 ? SYMBOL_FOLLOWS : 0) | (at + length == word.length ? SYMBOL_IS_LAST : 0);
        builder_clear(&symbol);
        tokenizer_add_affixed(e->tokenizer, &symbol, (struct str){word.data + at, length}, place);
        status = add_affixed(e, (struct str){symbol.data, symbol.length}, character, trace);
    }
    builder_release(&symbol);
    return status == OK ? finish_word(e, word, slot, trace) : status;
}

static enum status encode_word(void *payload, struct str word, struct trace *trace)
{
    struct encoding *e = payload;
    const struct tokenizer *t = e->tokenizer;
    const struct map *whole = t->kind == TOKENIZER_BYTE_LEVEL ? &t->words : &t->ids;
    uint32_t id;
    if (t->prefers_whole_words && map_find_text(whole, word, &id)) {
        token_list_add(e->out, (int32_t)id);
        return OK;
    }
    if (t->kind == TOKENIZER_BYTE_LEVEL)
        return encode_bytes(e, word, trace);
    return tokenizer_has_affixes(t) ? encode_affixed(e, word, trace) : encode_characters(e, word, trace);
}

/* Text between two added tokens of the raw text. */
static enum status encode_piece(struct encoding *e, struct str text, enum piece_place place,
                                struct trace *trace)
{
    struct tokenizer *t = e->tokenizer;
    TRY(normalizer_apply(&t->normalizer, text, &text, trace));
    struct added_search search = {0};
    struct word_sink sink = {encode_word, e};
    for (size_t at = 0; at < text.length || search.next < text.length; at = search.done) {
        struct added_match match;
        TRY(added_find(&match, &t->added_normal, text, &search, trace));
        struct str piece = {text.data + at, match.start > at ? match.start - at : 0};
        TRY(pretokenizer_split(&t->pretokenizer, piece, at == 0 ? place : PIECE_LATER, sink, trace));
        if (match.token)
            token_list_add(e->out, match.token->id);
    }
    return OK;
}

static void encode_raw_bytes(struct str text, struct token_list *out)
{
    int32_t *ids = token_list_reserve(out, text.length);
    for (size_t i = 0; i < text.length; i++)
        ids[i] = (unsigned char)text.data[i];
    out->count += text.length;
}

enum status tokenizer_encode(struct tokenizer *tokenizer, struct str text, struct token_list *out,
                             struct trace *trace)
{
    if (tokenizer->kind == TOKENIZER_BYTES) {
        encode_raw_bytes(text, out);
        return OK;
    }
    TRY(utf8_check(text, "the text", trace));
    struct encoding e = {tokenizer, out};
    struct added_search search = {0};
    for (size_t at = 0; at < text.length || search.next < text.length; at = search.done) {
        struct added_match match;
        TRY(added_find(&match, &tokenizer->added_raw, text, &search, trace));
        struct str piece = {text.data + at, match.start > at ? match.start - at : 0};
        TRY(encode_piece(&e, piece, at == 0 ? PIECE_FIRST : PIECE_LATER, trace));
        if (match.token)
            token_list_add(out, match.token->id);
    }
    return OK;
}
