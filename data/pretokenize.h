/* A tokenizer's pre-tokeniser: splits normalised text into words that are merged one by one. Known are
 * ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace and Sequence. Words come out
 * in order, one at a time, so that a long text needs no list of them. */
#ifndef DATA_PRETOKENIZE_H
#define DATA_PRETOKENIZE_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/regex.h"
#include <jansson.h>
#include <stdbool.h>

enum pretokenize_kind {
    PRETOKENIZE_SPLIT,
    PRETOKENIZE_METASPACE,
    PRETOKENIZE_PREFIX_SPACE,
    PRETOKENIZE_BYTE_ALPHABET, /* only where steps follow that see bytes as characters */
};
/* What becomes of a match, as in Hugging Face's SplitDelimiterBehavior. */
enum split_behavior { SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_TO_PREVIOUS, SPLIT_TO_NEXT, SPLIT_CONTIGUOUS };
enum prepend_scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct pretokenize_step {
    enum pretokenize_kind kind;
    enum split_behavior behavior; /* of a split */
    bool is_inverted;             /* of a split: what does not match is the delimiter */
    bool is_splitting;            /* of a metaspace: cut before each replacement */
    enum prepend_scheme scheme;   /* of a metaspace */
    struct str replacement;       /* of a metaspace: one character */
    struct regex regex;           /* of a split or a metaspace */
    struct builder buffer;        /* the rewritten text of other steps */
};

struct pretokenizer {
    VEC(struct pretokenize_step) steps;
    bool is_byte_level;   /* the words are then read byte by byte */
    bool has_alphabet;    /* there is a step PRETOKENIZE_BYTE_ALPHABET */
    struct builder bytes; /* the word that such a chain hands out */
};

/* Reads the JSON value "pre_tokenizer"; null splits nothing. */
enum status pretokenizer_read(struct pretokenizer *out, struct arena *arena, const json_t *value,
                              struct trace *trace) MUST_CHECK;
void pretokenizer_release(struct pretokenizer *pretokenizer); /* accepts zeroed memory */

/* Whether a piece of text begins where the whole text begins. */
enum piece_place { PIECE_FIRST, PIECE_LATER };

/* Takes one non-empty word, valid until it returns. */
struct word_sink {
    enum status (*take)(void *payload, struct str word, struct trace *trace);
    void *payload;
};
enum status pretokenizer_split(struct pretokenizer *pretokenizer, struct str text, enum piece_place place,
                               struct word_sink sink, struct trace *trace) MUST_CHECK;

#endif
