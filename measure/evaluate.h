/* Loss of a model on text: nats per token over full windows in order, every token but the first of a window
 * scored; or over windows that overlap, so that a token has more before it. */
#ifndef MEASURE_EVALUATE_H
#define MEASURE_EVALUATE_H

#include "base/arena.h"
#include "base/status.h"
#include "data/corpus.h"
#include "data/partition.h"
#include "ir/executor.h"
#include <signal.h>
#include <stdint.h>

struct evaluate_options {
    uint32_t length; /* tokens of a window */
    uint32_t stride; /* tokens between windows that overlap (data/batch.h); 0: none do */
    uint32_t rows;   /* windows at a time; does not change the result beyond the order of additions */
    uint64_t limit;  /* windows at most; 0: all */
    struct partition partition;
    const struct graph *teacher; /* to compare with, over the same tokens; NULL: none */
    int64_t vocabulary;          /* tokens that are compared, the first; 0: all, of which both have as many */
    struct arena *arena;         /* for the windows of the result; NULL: they are not kept */
    const char *label;           /* of the progress line; NULL: none */
    const volatile sig_atomic_t *stop; /* INTERRUPTED when it becomes nonzero; may be NULL */
};

/* A window's part of the loss: sums in double of the f32 losses of its tokens, in order. */
struct evaluate_window {
    double nats;
    double divergence; /* from the teacher's distribution, in nats */
    uint32_t tokens;   /* scored */
    uint32_t agreed;   /* tokens at which the likeliest is the teacher's */
};

/* Sums are made in double from the executor's f32 sums of one micro-batch, in order, so they are the same
 * everywhere. */
struct evaluation {
    double loss;          /* nats per scored token */
    double error;         /* standard error of the loss: evaluate_error() */
    double perplexity;    /* e^loss, by the golden exponential */
    double bits_per_byte; /* of the text that the scored tokens stand for */
    /* With a teacher, over the scored tokens: mean of KL(teacher || model) in nats, share of tokens at which
     * both have the same likeliest one, and standard errors of either. */
    double divergence, divergence_error, agreement, agreement_error;
    uint64_t tokens; /* scored */
    uint64_t bytes;
    uint64_t window_count;
    const struct evaluate_window *windows; /* NULL unless asked for */
};

/* `model` has input "tokens" and output "logits" = matmul_nt(hidden, head). The logits are made and dropped
 * in chunks of 512 tokens; no tokens x vocabulary tensor exists, for the teacher neither. INVALID: too little
 * text for one window; losses that are not finite; a teacher of another vocabulary. */
enum status measure_evaluate(struct evaluation *out, struct executor *executor, const struct graph *model,
                             const struct corpus *corpus, const struct tokenizer *tokenizer,
                             const struct evaluate_options *options, struct trace *trace) MUST_CHECK;

/* Windows are the units that are taken to be drawn at random: the loss is a ratio of their sums, whose
 * standard error is sqrt(n / (n - 1) sum (nats - loss tokens)^2) / sum tokens (Cochran, Sampling
 * Techniques, 6.4). 0 of one window. The sums are of n windows: of nats^2, nats tokens, tokens^2. */
struct evaluate_sums {
    uint64_t count, tokens;
    double nats_nats, nats_tokens, tokens_tokens;
};
void evaluate_sums_add(struct evaluate_sums *sums, double nats, uint32_t tokens); /* a window */
double evaluate_error(const struct evaluate_sums *sums, double loss);

#endif
