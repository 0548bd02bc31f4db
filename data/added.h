/* Added tokens: pieces of text that become one token wherever they occur, before any merging, such as
 * "<|endoftext|>". At each place the longest wins; the leftmost place comes first. A token that is a single
 * word must not stand beside a word character. */
#ifndef DATA_ADDED_H
#define DATA_ADDED_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/regex.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct added_token {
    struct str content;
    int32_t id;
    bool is_special;              /* stands for no text: counts as zero bytes */
    bool takes_left, takes_right; /* swallows the white space beside it */
    bool is_single_word;
    bool is_searched_in_normal_form; /* in normalised text, else in the text as given */
};

/* Tokens that are searched together. */
struct added_set {
    VEC(struct added_token) tokens;
    uint32_t *order;      /* by first byte, then longest first */
    uint32_t starts[257]; /* where each first byte's tokens begin in `order` */
    struct regex word;    /* a word character; when some token is a single word */
};

/* Call once when all tokens are there; empty contents are not allowed. */
enum status added_set_sort(struct added_set *set, struct arena *arena, struct trace *trace) MUST_CHECK;
void added_set_release(struct added_set *set); /* what is not on the arena; accepts zeroed memory */

/* Where a search stands: `done` is where the last match ended, with the white space that it swallowed. The
 * search goes on behind its token, so that a token of white space may be found in what is swallowed (Hugging
 * Face's library does so too). Zeroed at first. */
struct added_search {
    size_t done, next;
};
struct added_match {
    size_t start, end;               /* start may lie before the search's `done`; never a gap then */
    const struct added_token *token; /* NULL: none found, both are the text's length */
};
/* The next token in `text`; swallowed white space counts as part of the match. */
enum status added_find(struct added_match *out, const struct added_set *set, struct str text,
                       struct added_search *search, struct trace *trace) MUST_CHECK;

#endif
