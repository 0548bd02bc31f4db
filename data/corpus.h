/* A corpus: a text file or JSON-lines, tokenised once into one stream of ids.
 *
 * A text file is one document, or several where `delimiter` stands between them; each line of JSON-lines is
 * one, in the member `field`. Documents are tokenised one by one and joined as `join` says. With a store, the
 * stream is kept there under a key of the text's hash, the tokenizer's hash and the options, and mapped; else
 * it is on the heap. */
#ifndef DATA_CORPUS_H
#define DATA_CORPUS_H

#include "base/hash.h"
#include "base/status.h"
#include "data/token_list.h"
#include "data/tokenizer.h"
#include "store/object.h"
#include "store/store.h"
#include <stdint.h>

enum corpus_form {
    CORPUS_BY_NAME, /* JSON-lines when the path ends in .jsonl or .ndjson, else text */
    CORPUS_TEXT,
    CORPUS_JSON_LINES,
};

/* What is put in for every document. */
enum corpus_join {
    JOIN_BY_TOKENIZER, /* what the tokenizer's template puts around a text; without a template the first that
                          there is: the end token behind it, the begin token before it, a newline behind it;
                          nothing when the file is one document */
    JOIN_NOTHING,
    JOIN_EOS, /* the end token behind it; INVALID when the tokenizer has none */
    JOIN_BOS, /* the begin token before it */
    JOIN_BOTH,
    JOIN_NEWLINE, /* a newline behind its text */
};

/* What stands between documents of a text file unless `delimiter` says otherwise: the mark of GPT-2's
 * training data on a line of its own. A file without it is one document. */
#define CORPUS_DELIMITER "\n<|endoftext|>\n"

/* Zeroed: by name, "text", CORPUS_DELIMITER, by tokenizer. */
struct corpus_options {
    enum corpus_form form;
    enum corpus_join join;
    const char *field;     /* of JSON-lines; NULL: "text" */
    const char *delimiter; /* of text; NULL: CORPUS_DELIMITER, "": none */
    uint64_t limit;        /* documents to read; 0: all */
    enum corpus_lone {
        CORPUS_LONE_JOINED,
        CORPUS_LONE_BARE
    } lone; /* set by corpus_open: a file that is one document,
               joined by tokenizer, gets nothing put in */
};

/* "auto", "none", "eos", "bos", "both", "newline" */
bool corpus_join_from_name(struct str name, enum corpus_join *out);

struct corpus {
    const int32_t *tokens; /* [count] */
    uint64_t count;
    uint64_t documents;  /* that have text */
    uint64_t text_bytes; /* of their text */
    uint32_t vocabulary; /* of the tokenizer: every id is below it */
    struct hash128 text_hash, tokenizer_hash;
    struct token_list owned;    /* one of these two holds the tokens */
    struct store_object object; /* kind "tokens": int32 little-endian */
};

/* `store` may be NULL. INVALID: text that is not UTF-8 (unless the tokenizer is "bytes"), with the byte's
 * offset; a line that is no JSON object with a text; no text at all. Release it in any case. */
enum status corpus_open(struct corpus *out, const char *path, struct tokenizer *tokenizer,
                        const struct corpus_options *options, const struct store *store,
                        struct trace *trace) MUST_CHECK;
void corpus_release(struct corpus *corpus); /* accepts zeroed memory */

/* Bytes of text that the tokens from `first` on stand for; the sum over a whole corpus is text_bytes, up to
 * what a normaliser changes. */
uint64_t corpus_text_length(const struct corpus *corpus, const struct tokenizer *tokenizer, uint64_t first,
                            uint64_t count);

#endif
