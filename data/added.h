/* Added tokens: pieces of text that become one token wherever they occur, before any merging, such as
 * "<|endoftext|>". At each place the longest wins; the leftmost place comes first. */
#ifndef DATA_ADDED_H
#define DATA_ADDED_H

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct added_token {
    struct str content;
    int32_t id;
    bool is_special;                 /* stands for no text: counts as zero bytes */
    bool takes_left, takes_right;    /* swallows the white space beside it */
    bool is_searched_in_normal_form; /* in normalised text, else in the text as given */
};

/* Tokens that are searched together. */
struct added_set {
    VEC(struct added_token) tokens;
    uint32_t *order;      /* by first byte, then longest first */
    uint32_t starts[257]; /* where each first byte's tokens begin in `order` */
};

/* Call once when all tokens are there; empty contents are not allowed. */
void added_set_sort(struct added_set *set, struct arena *arena);

struct added_match {
    size_t start, end;
    const struct added_token *token; /* NULL: none found */
};
/* The first token in `text` at or after `from`; swallowed white space counts as part of the match. */
struct added_match added_find(const struct added_set *set, struct str text, size_t from);

#endif
