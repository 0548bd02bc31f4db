/* A tokenizer's normaliser: a chain of rewritings of the text before it is split into words. Known are
 * Prepend, Replace (a literal or a pattern, by a literal), NFC, NFD, NFKC, NFKD, Strip, StripAccents,
 * Lowercase, Precompiled and Sequence. */
#ifndef DATA_NORMALIZE_H
#define DATA_NORMALIZE_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/charsmap.h"
#include "data/regex.h"
#include <jansson.h>

enum normalize_kind {
    NORMALIZE_PREPEND,
    NORMALIZE_REPLACE,
    NORMALIZE_UNICODE,
    NORMALIZE_STRIP,
    NORMALIZE_STRIP_ACCENTS,
    NORMALIZE_LOWERCASE,
    NORMALIZE_PRECOMPILED,
};

struct normalize_step {
    enum normalize_kind kind;
    struct str text;    /* what is prepended, or what replaces a match */
    struct str literal; /* of a Replace with a literal, else empty */
    struct regex regex; /* of a Replace */
    struct charsmap charsmap;
    uint32_t form; /* UTF8PROC_* options of a Unicode form */
    bool strips_left, strips_right;
};

struct normalizer {
    VEC(struct normalize_step) steps;
    struct builder buffers[2]; /* the chain's intermediate texts */
};

/* Reads the JSON value "normalizer"; null is the empty chain. Texts are copied into the arena. */
enum status normalizer_read(struct normalizer *out, struct arena *arena, const json_t *value,
                            struct trace *trace) MUST_CHECK;
void normalizer_release(struct normalizer *normalizer); /* accepts zeroed memory */

/* The rewritten form of valid UTF-8 text. The result is `text` itself or lives until the next call. */
enum status normalizer_apply(struct normalizer *normalizer, struct str text, struct str *out,
                             struct trace *trace) MUST_CHECK;

#endif
