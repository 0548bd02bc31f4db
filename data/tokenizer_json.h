/* Reading a tokenizer.json, and what a tokenizer is in memory. Only data/tokenizer*.c look inside. */
#ifndef DATA_TOKENIZER_JSON_H
#define DATA_TOKENIZER_JSON_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"
#include "data/added.h"
#include "data/bpe.h"
#include "data/normalize.h"
#include "data/pretokenize.h"
#include "data/tokenizer.h"
#include "data/word_cache.h"
#include <jansson.h>

enum tokenizer_kind { TOKENIZER_BYTES, TOKENIZER_BYTE_LEVEL, TOKENIZER_CHARACTERS };

/* Where in its word a symbol stands; together in one number. */
enum symbol_place { SYMBOL_FOLLOWS = 1, SYMBOL_IS_LAST = 2, SYMBOL_PLACES = 4 };

struct tokenizer_piece {
    struct str text;  /* as in the file; data NULL for an id without token */
    struct str bytes; /* what it decodes to */
    bool is_special;
};

struct tokenizer {
    struct arena arena;
    enum tokenizer_kind kind;
    struct hash128 hash;
    struct str json;                /* the file's text; "bytes" has a made-up one */
    struct tokenizer_piece *pieces; /* by id */
    uint32_t vocabulary;
    int32_t bos, eos, unknown; /* -1: none */
    bool puts_bos, puts_eos;   /* its template puts them around a text */
    bool fuses_unknown, falls_back_to_bytes, prefers_whole_words;
    struct str marker;             /* what a space is written as in pieces over characters; empty: itself */
    bool adds_space;               /* encoding puts a space in front of the text */
    struct map ids;                /* piece text -> id, of the model's vocabulary */
    struct map words;              /* byte level: bytes -> id */
    struct map characters;         /* character -> id, of pieces of one character */
    int32_t byte_ids[256];         /* byte level: initial symbols; characters: fallback; -1: none */
    struct str prefix, suffix;     /* of all symbols of a word but the first, of the last; empty: none */
    int32_t (*affixed_bytes)[256]; /* byte level: as byte_ids, with the affixes of an enum symbol_place; NULL:
                                      none */
    struct added_set added_raw, added_normal; /* searched before and after normalising */
    struct normalizer normalizer;
    struct pretokenizer pretokenizer;
    struct bpe bpe;
    struct word_cache cache;
    struct token_list symbols; /* scratch */
};

/* A JSON text within the budgets, without duplicate keys; release with json_decref(). */
enum status tokenizer_parse_json(json_t **out, struct str text, struct trace *trace) MUST_CHECK;
/* Fills a zeroed tokenizer, whose arena and json are set. Release it in any case. */
enum status tokenizer_read_json(struct tokenizer *out, struct trace *trace) MUST_CHECK;
void tokenizer_release(struct tokenizer *tokenizer); /* the contents; accepts zeroed memory */

/* Appends a symbol with the affixes that it has at its place. */
void tokenizer_add_affixed(const struct tokenizer *tokenizer, struct builder *out, struct str symbol,
                           int place);

bool tokenizer_has_affixes(const struct tokenizer *tokenizer);
/* What a merge makes of its two parts: the second is there without its prefix. */
enum status tokenizer_join_merge(struct builder *out, struct str left, struct str right, struct str prefix,
                                 size_t index, struct trace *trace) MUST_CHECK;
/* The two parts of a merge, which is "left right" or ["left", "right"]; INVALID names its index. */
enum status tokenizer_merge_parts(struct str *left, struct str *right, const json_t *merge, size_t index,
                                  struct trace *trace) MUST_CHECK;

#endif
