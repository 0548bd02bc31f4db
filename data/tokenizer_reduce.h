/* The tokenizer of a model whose vocabulary was pruned. */
#ifndef DATA_TOKENIZER_REDUCE_H
#define DATA_TOKENIZER_REDUCE_H

#include "data/tokenizer.h"

enum tokenizer_loss {
    TOKENIZER_REFUSE_LOSS,
    TOKENIZER_ALLOW_LOSS, /* text with what was lost becomes unknown tokens, or an error when there is none */
};

struct tokenizer_reduction {
    uint32_t tokens;                      /* kept, without ids that had no token */
    uint32_t merges_kept, merges_dropped; /* dropped: a part or the result is gone */
    uint32_t unreachable;                 /* kept tokens that no text is encoded to any more */
    uint32_t lost;                        /* bytes or characters that could be encoded and no longer can */
};

/* Appends a tokenizer.json in which token keep[i] has the id i. It has only kept tokens, so it encodes with
 * nothing else. INVALID: an id out of range or kept twice, the unknown token not kept, or (unless allowed)
 * the first byte or character that would be lost. A post-processor that names a token which is gone becomes
 * null. */
enum status tokenizer_reduce(struct builder *out, struct tokenizer_reduction *report,
                             const struct tokenizer *tokenizer, const int32_t *keep, uint32_t count,
                             enum tokenizer_loss loss, struct trace *trace) MUST_CHECK;

#endif
