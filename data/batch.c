/* Which window a sample is, and its tokens. */
#include "data/batch.h"

#include "base/file.h"
#include "shaders/scalar/permute.h"
#include "shaders/scalar/random.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Keeps these random words apart from those of other uses of the same seed: "shuf". */
static const uint32_t PURPOSE = 0x73687566;

static enum status check_options(const struct batch_options *o, struct trace *trace)
{
    uint32_t least = o->order == BATCH_IN_ORDER ? 2 : 1;
    if (o->length < least || o->length >= INT32_MAX)
        return status_fail(trace, INVALID, "the length of a window must be at least %u, it is %u", least,
                           o->length);
    if (o->stride >= o->length || (o->stride > 0 && o->order != BATCH_IN_ORDER))
        return status_fail(trace, INVALID, "the stride must be less than the %u tokens of a window, it is %u",
                           o->length, o->stride);
    if (o->rows == 0 || o->micros == 0)
        return status_fail(trace, INVALID, "a step must have samples, it has %u micro-batches of %u",
                           o->micros, o->rows);
    return OK;
}

static enum status explain_too_little(const struct batcher *b, struct trace *trace)
{
    uint64_t tokens = 0, longest = 0;
    for (uint32_t i = 0; i < b->ranges.items.count; i++) {
        uint64_t count = b->ranges.items.items[i].count;
        tokens += count;
        longest = count > longest ? count : longest;
    }
    return status_fail(
        trace, INVALID,
        "too little data: one window needs %u tokens in a row, the part \"%s\" of a corpus of %llu tokens "
        "has %llu, at most %llu in a row",
        b->span, partition_part_name(b->options.partition.part), (unsigned long long)b->corpus->count,
        (unsigned long long)tokens, (unsigned long long)longest);
}

/* Windows of a range of `count` tokens. */
static uint64_t windows_of(const struct batcher *b, uint64_t count)
{
    uint64_t length = b->options.length, stride = b->options.stride;
    if (stride == 0)
        return count / b->span;
    if (count < 2)
        return 0;
    return count <= length ? 1 : 1 + (count - length + stride - 1) / stride;
}

enum status batcher_open(struct batcher *out, const struct corpus *corpus,
                         const struct batch_options *options, struct trace *trace)
{
    *out = (struct batcher){.corpus = corpus, .options = *options};
    TRY(check_options(options, trace));
    out->span = options->length + (options->order == BATCH_SHUFFLED);
    TRY(partition_find(&out->ranges, &out->arena, options->partition, corpus->count, trace));
    uint32_t count = out->ranges.items.count;
    out->first_window = ARENA_ARRAY(&out->arena, uint64_t, (size_t)count + 1);
    for (uint32_t i = 0; i < count; i++)
        out->first_window[i + 1] = out->first_window[i] + windows_of(out, out->ranges.items.items[i].count);
    out->windows = out->first_window[count];
    return out->windows ? OK : explain_too_little(out, trace);
}

void batcher_release(struct batcher *batcher)
{
    arena_release(&batcher->arena);
    *batcher = (struct batcher){0};
}

uint64_t batcher_steps(const struct batcher *batcher)
{
    uint64_t samples = (uint64_t)batcher->options.rows * batcher->options.micros;
    return (batcher->windows - 1) / samples + 1;
}

/* Tokens that a row shows, and which of its places have a label. */
struct window {
    const int32_t *tokens; /* NULL: none */
    uint32_t count;        /* ids; tokens[count] is there where the last of them has a label */
    uint32_t first, end;   /* places with a label */
};

static struct window find_window(const struct batcher *b, uint64_t number)
{
    uint32_t low = 0, high = b->ranges.items.count; /* the range is in [low, high) */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (b->first_window[middle] <= number)
            low = middle;
        else
            high = middle;
    }
    const struct batch_options *o = &b->options;
    uint64_t within = number - b->first_window[low], step = o->stride ? o->stride : b->span;
    uint64_t first = within * step, left = b->ranges.items.items[low].count - first;
    struct window w = {.tokens = b->corpus->tokens + b->ranges.items.items[low].first + first,
                       .count = left < o->length ? (uint32_t)left : o->length,
                       .first = o->stride && within > 0 ? o->length - o->stride - 1 : 0};
    w.end = o->order == BATCH_SHUFFLED ? w.count : w.count - 1;
    assert(b->ranges.items.items[low].first + first + w.end < b->corpus->count);
    return w;
}

uint64_t batcher_window(const struct batcher *b, uint64_t sample)
{
    sample += b->options.first;
    uint64_t epoch = sample / b->windows, seed = b->options.seed;
    struct gm_words counter = {(uint32_t)epoch, (uint32_t)(epoch >> 32), b->options.stream, PURPOSE};
    struct gm_words key = gm_philox(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
    return gm_permute((uint64_t)key.y << 32 | key.x, b->windows, sample % b->windows);
}

static void fill_row(struct batch *out, uint32_t row, struct window w)
{
    size_t length = out->length, at = row * length;
    out->attention[row] = BATCH_CAUSAL;
    out->tags[row] = 0;
    memset(out->ids + at, 0, length * sizeof *out->ids);
    memset(out->labels + at, 0, length * sizeof *out->labels);
    memset(out->weights + at, 0, length * sizeof *out->weights);
    if (!w.tokens)
        return;
    memcpy(out->ids + at, w.tokens, w.count * sizeof *out->ids);
    memcpy(out->labels + at + w.first, w.tokens + w.first + 1, (w.end - w.first) * sizeof *out->labels);
    for (uint32_t i = w.first; i < w.end; i++)
        out->weights[at + i] = 1;
}

void batcher_fill_window(const struct batcher *batcher, uint64_t window, uint32_t row, struct batch *out)
{
    assert(window < batcher->windows && row < out->rows && out->length == batcher->options.length);
    fill_row(out, row, find_window(batcher, window));
}

void batcher_fill(const struct batcher *batcher, uint64_t step, uint32_t micro, struct batch *out)
{
    const struct batch_options *o = &batcher->options;
    assert(micro < o->micros && out->rows == o->rows && out->length == o->length);
    for (uint32_t row = 0; row < o->rows; row++) {
        uint64_t sample;
        if (__builtin_mul_overflow(step, (uint64_t)o->micros, &sample) ||
            __builtin_add_overflow(sample, (uint64_t)micro, &sample) ||
            __builtin_mul_overflow(sample, (uint64_t)o->rows, &sample) ||
            __builtin_add_overflow(sample, (uint64_t)row, &sample))
            BUG("step %llu has no sample numbers", (unsigned long long)step);
        if (o->order == BATCH_SHUFFLED)
            fill_row(out, row, find_window(batcher, batcher_window(batcher, sample)));
        else
            fill_row(out, row, sample < batcher->windows ? find_window(batcher, sample) : (struct window){0});
    }
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        BUG("out of memory for a batch of %zu x %zu bytes", count, size);
    return memory;
}

void batch_init(struct batch *out, uint32_t rows, uint32_t length)
{
    size_t places;
    if (!size_multiply(rows, length, &places))
        BUG("a batch of %u x %u places", rows, length);
    *out = (struct batch){
        .rows = rows,
        .length = length,
        .ids = allocate(places, sizeof *out->ids),
        .labels = allocate(places, sizeof *out->labels),
        .weights = allocate(places, sizeof *out->weights),
        .attention = allocate(rows, sizeof *out->attention),
        .tags = allocate(rows, sizeof *out->tags),
    };
}

void batch_release(struct batch *batch)
{
    free(batch->ids);
    free(batch->labels);
    free(batch->weights);
    free(batch->attention);
    free(batch->tags);
    *batch = (struct batch){0};
}

void batch_count(uint64_t *labels, uint64_t *bytes, const struct batch *batch,
                 const struct tokenizer *tokenizer)
{
    *labels = *bytes = 0;
    for (size_t i = 0; i < (size_t)batch->rows * batch->length; i++)
        if (batch->weights[i] != 0) {
            *labels += 1;
            *bytes += tokenizer_text_length(tokenizer, batch->labels[i]);
        }
}
