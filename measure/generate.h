/* Text from a model, token by token, for a look at it. Every token is a forward pass over the whole text:
 * there is no key-value cache. Texts and tokens are the same on every device. */
#ifndef MEASURE_GENERATE_H
#define MEASURE_GENERATE_H

#include "base/status.h"
#include "data/token_list.h"
#include "data/tokenizer.h"
#include "ir/executor.h"
#include <signal.h>

struct generate_options {
    uint32_t tokens;                   /* new ones, at most */
    int32_t end;                       /* token that ends the text, or -1 */
    float temperature;                 /* 0: always the likeliest token, the first of equals */
    uint32_t top;                      /* with a temperature: of so many of the likeliest tokens; 0: of all */
    uint64_t seed;                     /* with a temperature: the counter RNG draws one number a token */
    uint32_t stream;                   /* tells texts of one seed apart */
    uint32_t vocabulary;               /* only the first so many tokens are chosen; 0: all */
    const volatile sig_atomic_t *stop; /* INTERRUPTED when it becomes nonzero; may be NULL */
};

/* A model made ready for any number of texts. It has input "tokens" and output "logits"; executor and model
 * are borrowed. */
struct generator;
struct generator *generator_create(struct executor *executor, const struct graph *model);
void generator_destroy(struct generator *generator); /* accepts NULL */
/* Appends to `text`, which holds the prompt, at least one token; the token that ends the text is not
 * appended. */
enum status generator_continue(struct generator *generator, struct token_list *text,
                               const struct generate_options *options, struct trace *trace) MUST_CHECK;

/* The prompt's tokens, after the one that begins a text where the model has seen it there; of an empty prompt
 * the token that begins a text, else the one that ends it. INVALID: empty, and there is no such token. */
enum status generate_encode(struct token_list *out, struct tokenizer *tokenizer, struct str prompt,
                            struct trace *trace) MUST_CHECK;
/* Appends the text of a prompt, encoded so, with what follows it. */
enum status generate_decode(struct builder *out, const struct tokenizer *tokenizer,
                            const struct token_list *text, size_t prompt, struct trace *trace) MUST_CHECK;

/* The token drawn from logits [count] with the random number 0 < u < 1; see the options. `order` is scratch
 * [count]. */
int32_t generate_choose(const float *logits, int64_t count, const struct generate_options *options, float u,
                        int32_t *order);

#endif
