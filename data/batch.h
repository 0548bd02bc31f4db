/* Batches: windows of a corpus, as a pure function of (seed, stream, step, sample). There is no state to
 * save: a resumed run asks for the step it stopped before.
 *
 * BATCH_SHUFFLED, for training: the part is cut in windows of length + 1 tokens, which share none; a window
 * gives `length` ids and, for each, the next token as label, all of weight 1. Sample number s is window
 * permute(s mod windows) of epoch s / windows, the permutation being keyed by seed, stream and epoch, so
 * every window comes once an epoch. BATCH_IN_ORDER, for evaluation: windows of `length` tokens, each once, in
 * order; every token but the first of a window is a label, so the last place of a row has weight 0, and so
 * have the rows behind the last window. What does not fill a window at the end of a range is left out. With a
 * stride, windows in order overlap: each begins `stride` tokens after the one before and scores what that one
 * did not, so that every token but the first of a range is scored once, the last window being as short as
 * need be. */
#ifndef DATA_BATCH_H
#define DATA_BATCH_H

#include "base/arena.h"
#include "base/status.h"
#include "data/corpus.h"
#include "data/partition.h"
#include <stdint.h>

enum batch_order { BATCH_SHUFFLED, BATCH_IN_ORDER };
enum batch_attention { BATCH_CAUSAL }; /* which earlier places a place may see */

struct batch_options {
    struct partition partition;
    enum batch_order order;
    uint32_t length; /* places in a row, at least 1 (in order: 2) */
    uint32_t stride; /* in order: 1 .. length - 1 tokens between windows that overlap; 0: none do */
    uint32_t rows;   /* sequences in a micro-batch */
    uint32_t micros; /* micro-batches in a step */
    uint64_t seed;
    uint32_t stream; /* keeps two shuffles with one seed apart */
    uint64_t first;  /* shuffled: number of the first sample */
};

struct batch {
    uint32_t rows, length;
    int32_t *ids;       /* [rows, length] */
    int32_t *labels;    /* [rows, length]; 0 where the weight is 0 */
    float *weights;     /* [rows, length]; 1, or 0: no label */
    uint8_t *attention; /* [rows], enum batch_attention */
    uint32_t *tags;     /* [rows], what a data policy says about a sample; 0 */
};

struct batcher {
    const struct corpus *corpus; /* borrowed */
    struct batch_options options;
    struct arena arena;
    struct token_ranges ranges;
    uint64_t *first_window; /* [ranges + 1], windows before each range */
    uint64_t windows;       /* > 0 */
    uint32_t span;          /* tokens of a window */
};

/* INVALID when the part has not one whole window, saying how many tokens it has and how many are needed. */
enum status batcher_open(struct batcher *out, const struct corpus *corpus,
                         const struct batch_options *options, struct trace *trace) MUST_CHECK;
void batcher_release(struct batcher *batcher); /* accepts zeroed memory */

/* Steps that show every window once; the last may have rows without a window (in order) or begin the next
 * epoch. */
uint64_t batcher_steps(const struct batcher *batcher);
/* Micro-batch `micro` of step `step`. `out` has the batcher's rows and length. */
void batcher_fill(const struct batcher *batcher, uint64_t step, uint32_t micro, struct batch *out);

/* Shuffled: the window that sample `sample`, counted from the first, shows; and a row of a batch that shows a
 * window. */
uint64_t batcher_window(const struct batcher *batcher, uint64_t sample);
void batcher_fill_window(const struct batcher *batcher, uint64_t window, uint32_t row, struct batch *out);

void batch_init(struct batch *out, uint32_t rows, uint32_t length); /* the product is checked: aborts */
void batch_release(struct batch *batch);                            /* accepts zeroed memory */
/* How many labels count, and how many bytes of text they stand for. */
void batch_count(uint64_t *labels, uint64_t *bytes, const struct batch *batch,
                 const struct tokenizer *tokenizer);

#endif
