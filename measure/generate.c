/* A session serves texts of up to a length; a longer text gets a session of twice the length. Positions after
 * the text hold token 0, which a causal model cannot see. */
#include "measure/generate.h"
#include "measure/session.h"
#include "shaders/scalar/random.h"
#include "shaders/scalar/scalar.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_LENGTH = 64 };

struct generator {
    struct executor *executor;
    const struct graph *model;
    struct session session;
    int64_t length, vocabulary;
    int32_t *tokens, *order; /* [length], [vocabulary] */
    float *logits;           /* [vocabulary], of one position */
};

static void close_session(struct generator *g)
{
    session_release(&g->session);
    free(g->tokens);
    free(g->order);
    free(g->logits);
    g->tokens = g->order = NULL;
    g->logits = NULL;
}

static void *allocate(int64_t count, size_t size)
{
    void *bytes = calloc((size_t)count, size);
    if (!bytes)
        BUG("out of memory: %lld numbers", (long long)count);
    return bytes;
}

static enum status open_session(struct generator *g, size_t needed, struct trace *trace)
{
    struct dim_binding dims[2];
    int64_t length = g->length ? g->length : FIRST_LENGTH;
    while (length < (int64_t)needed)
        length *= 2;
    close_session(g);
    uint32_t count = session_dims(dims, g->model, 1, length), logits = graph_find_output(g->model, "logits");
    if (logits == ID_NONE)
        return status_fail(trace, INVALID, "the model has no output \"logits\"");
    TRY(session_create(&g->session, g->executor, g->model, dims, count, SESSION_UPLOAD, trace));
    g->length = length;
    g->vocabulary = session_count(&g->session, logits) / length;
    g->tokens = allocate(length, sizeof *g->tokens);
    g->order = allocate(g->vocabulary, sizeof *g->order);
    g->logits = allocate(g->vocabulary, sizeof *g->logits);
    return OK;
}

static int by_logit(const void *a, const void *b, void *logits)
{
    const float *of = logits;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (of[x] != of[y])
        return of[x] > of[y] ? -1 : 1;
    return x < y ? -1 : 1;
}

static int32_t likeliest(const float *logits, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

int32_t generate_choose(const float *logits, int64_t count, const struct generate_options *options, float u,
                        int32_t *order)
{
    if (options->temperature == 0)
        return likeliest(logits, count);
    for (int64_t i = 0; i < count; i++)
        order[i] = (int32_t)i;
    qsort_r(order, (size_t)count, sizeof *order, by_logit, (void *)(uintptr_t)logits);
    int64_t kept = options->top && options->top < count ? options->top : count;
    double sum = 0, below = 0;
    float largest = logits[order[0]];
    for (int64_t i = 0; i < kept; i++)
        sum += (double)gm_exp((logits[order[i]] - largest) / options->temperature);
    for (int64_t i = 0; i < kept; i++) {
        below += (double)gm_exp((logits[order[i]] - largest) / options->temperature);
        if ((double)u * sum < below)
            return order[i];
    }
    return order[kept - 1];
}

static enum status next_token(int32_t *out, struct generator *g, const struct token_list *text,
                              const struct generate_options *options, uint32_t number, struct trace *trace)
{
    if (!g->length || (int64_t)text->count > g->length)
        TRY(open_session(g, text->count, trace));
    memcpy(g->tokens, text->items, text->count * sizeof *text->items);
    TRY(session_write(&g->session, "tokens", g->tokens, trace));
    TRY(session_run(&g->session, trace));
    TRY(session_read_part(&g->session, "logits", (int64_t)(text->count - 1) * g->vocabulary, g->vocabulary,
                          g->logits, trace));
    struct gm_words counter = {number, options->stream, 0, 0};
    uint64_t seed = options->seed;
    float u = gm_uniform(gm_philox(counter, (uint)seed, (uint)(seed >> 32)).x);
    bool is_limited = options->vocabulary && options->vocabulary < g->vocabulary;
    *out = generate_choose(g->logits, is_limited ? options->vocabulary : g->vocabulary, options, u, g->order);
    return OK;
}

struct generator *generator_create(struct executor *executor, const struct graph *model)
{
    struct generator *g = allocate(1, sizeof *g);
    *g = (struct generator){.executor = executor, .model = model};
    return g;
}

void generator_destroy(struct generator *generator)
{
    if (generator)
        close_session(generator);
    free(generator);
}

enum status generator_continue(struct generator *generator, struct token_list *text,
                               const struct generate_options *options, struct trace *trace)
{
    enum status status = OK;
    for (uint32_t i = 0; status == OK && i < options->tokens; i++) {
        int32_t token = 0;
        if (options->stop && *options->stop)
            status = status_fail(trace, INTERRUPTED, "interrupted while generating");
        else
            status = next_token(&token, generator, text, options, i, trace);
        if (status == OK && token == options->end)
            break;
        if (status == OK)
            token_list_add(text, token);
    }
    return status;
}

enum status generate_encode(struct token_list *out, struct tokenizer *tokenizer, struct str prompt,
                            struct trace *trace)
{
    int32_t begin = tokenizer_bos(tokenizer);
    bool is_empty = prompt.length == 0;
    if (begin >= 0 && (is_empty || tokenizer_puts_bos(tokenizer)))
        token_list_add(out, begin);
    else if (is_empty && tokenizer_eos(tokenizer) >= 0)
        token_list_add(out, tokenizer_eos(tokenizer));
    if (!is_empty)
        TRY(tokenizer_encode(tokenizer, prompt, out, trace));
    return out->count
               ? OK
               : status_fail(trace, INVALID, "no token begins a text of this tokenizer: give a prompt");
}

enum status generate_decode(struct builder *out, const struct tokenizer *tokenizer,
                            const struct token_list *text, size_t prompt, struct trace *trace)
{
    /* not the token that begins a text, nor the one that stands for it */
    int32_t first = text->items[0];
    size_t skip = prompt > 0 &&
                  (first == tokenizer_bos(tokenizer) || (prompt == 1 && first == tokenizer_eos(tokenizer)));
    return tokenizer_decode(tokenizer, text->items + skip, text->count - skip, out, trace);
}
