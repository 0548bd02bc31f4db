/* Text from a model, token by token, for a look at it. Every token is a forward pass over the whole text:
 * there is no key-value cache. */
#ifndef MEASURE_GENERATE_H
#define MEASURE_GENERATE_H

#include "base/status.h"
#include "data/token_list.h"
#include "ir/executor.h"
#include <signal.h>

struct generate_options {
    uint32_t tokens;                   /* new ones, at most */
    int32_t end;                       /* token that ends the text, or -1 */
    float temperature;                 /* 0: always the likeliest token, the first of equals */
    uint32_t top;                      /* with a temperature: of so many of the likeliest tokens; 0: of all */
    uint64_t seed;                     /* with a temperature: the counter RNG draws one number a token */
    const volatile sig_atomic_t *stop; /* INTERRUPTED when it becomes nonzero; may be NULL */
};

/* `model` has input "tokens" and output "logits". Appends to `text`, which holds the prompt, at least one
 * token; the token that ends the text is not appended. The same model, prompt and options give the same
 * tokens on every device. */
enum status measure_generate(struct token_list *text, struct executor *executor, const struct graph *model,
                             const struct generate_options *options, struct trace *trace) MUST_CHECK;

/* The token drawn from logits [count] with the random number 0 < u < 1; see the options. `order` is scratch
 * [count]. */
int32_t generate_choose(const float *logits, int64_t count, const struct generate_options *options, float u,
                        int32_t *order);

#endif
