/* What readers of GGUF files call the pre-tokenizers of tokenizer.json files (tokenizer.ggml.pre), as data
 * (ir/gguf_pretokenizers.def): the steps that a text goes through, one after the other. */
#ifndef IR_GGUF_PRETOKENIZER_H
#define IR_GGUF_PRETOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

enum gguf_step_kind {
    STEP_END,
    STEP_BYTES,       /* ByteLevel without a pattern */
    STEP_WORDS,       /* ByteLevel with its own pattern */
    STEP_DIGIT,       /* Digits, each by itself */
    STEP_DIGITS,      /* Digits that follow one another together */
    STEP_PUNCTUATION, /* Punctuation, what follows one another together */
    STEP_SPLIT        /* Split by a pattern, which is kept apart */
};

struct gguf_step {
    enum gguf_step_kind kind;
    const char *pattern; /* of STEP_SPLIT */
};

enum { GGUF_MOST_STEPS = 6 };

struct gguf_pretokenizer {
    const char *name;
    bool is_whole;                               /* pieces that are tokens are taken before any merge */
    bool puts_bos;                               /* a text gets its first token where the file does not say */
    const char *otherwise;                       /* what readers do otherwise than these steps, or NULL */
    struct gguf_step steps[GGUF_MOST_STEPS + 1]; /* up to STEP_END */
};

extern const struct gguf_pretokenizer gguf_pretokenizers[];
extern const size_t gguf_pretokenizer_count;

bool gguf_steps_equal(const struct gguf_step *a, const struct gguf_step *b);

#endif
