/* data/batch.c on a corpus whose token i is i, so that a token says where it is from. */
#include "data/batch.h"
#include "tests/support/test.h"

enum { COUNT = 10000 };

static int32_t stream[COUNT];

static struct corpus make_corpus(uint64_t count)
{
    for (int32_t i = 0; i < COUNT; i++)
        stream[i] = i;
    return (struct corpus){.tokens = stream, .count = count, .vocabulary = COUNT};
}

/* Marks every token of one shuffled row. */
static void mark_row(unsigned char *seen, const struct batch *b, uint32_t row)
{
    for (uint32_t i = 0; i < b->length; i++) {
        size_t at = (size_t)row * b->length + i;
        assert_int_equal(b->labels[at], b->ids[at] + 1);
        assert_true(b->weights[at] == 1);
        assert_true(i == 0 || b->ids[at] == b->ids[at - 1] + 1);
        seen[b->ids[at]]++;
    }
    seen[b->labels[(size_t)row * b->length + b->length - 1]]++;
}

static void every_window_comes_once_an_epoch(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(COUNT);
    struct trace trace = {0};
    struct batcher batcher;
    struct batch batch;
    /* 10,000 / 10 = 1000 windows; 125 steps of 4 micro-batches of 2 rows. */
    struct batch_options o = {.length = 9, .rows = 2, .micros = 4, .seed = 7};
    assert_ok(batcher_open(&batcher, &corpus, &o, &trace), &trace);
    assert_int_equal(batcher.windows, 1000);
    assert_int_equal(batcher_steps(&batcher), 125);
    batch_init(&batch, 2, 9);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        unsigned char seen[COUNT] = {0};
        for (uint64_t step = epoch * 125; step < (epoch + 1) * 125; step++)
            for (uint32_t micro = 0; micro < 4; micro++) {
                batcher_fill(&batcher, step, micro, &batch);
                mark_row(seen, &batch, 0);
                mark_row(seen, &batch, 1);
            }
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(seen[i], 1);
    }
    batch_release(&batch);
    batcher_release(&batcher);
}

/* The first token of the window of sample 0 .. count - 1. */
static void draw_order(int32_t *out, uint32_t count, struct batch_options o)
{
    struct corpus corpus = make_corpus(COUNT);
    struct trace trace = {0};
    struct batcher batcher;
    struct batch batch;
    assert_ok(batcher_open(&batcher, &corpus, &o, &trace), &trace);
    batch_init(&batch, o.rows, o.length);
    uint32_t done = 0;
    for (uint64_t step = 0; done < count; step++)
        for (uint32_t micro = 0; micro < o.micros; micro++) {
            batcher_fill(&batcher, step, micro, &batch);
            for (uint32_t row = 0; row < o.rows && done < count; row++)
                out[done++] = batch.ids[row * o.length];
        }
    batch_release(&batch);
    batcher_release(&batcher);
}

static void the_order_of_samples_does_not_depend_on_how_they_are_grouped(void **state)
{
    (void)state;
    int32_t a[960], b[960];
    struct batch_options o = {.length = 9, .rows = 1, .micros = 1, .seed = 3, .stream = 1};
    draw_order(a, 960, o);
    o.rows = 3;
    o.micros = 5;
    draw_order(b, 960, o);
    assert_memory_equal(a, b, sizeof a);
}

static void seed_stream_and_epoch_change_the_order(void **state)
{
    (void)state;
    int32_t a[2000], b[1000];
    struct batch_options o = {.length = 9, .rows = 10, .micros = 1, .seed = 3};
    draw_order(a, 2000, o);
    assert_memory_not_equal(a, a + 1000, 1000 * sizeof *a);
    o.seed = 4;
    draw_order(b, 1000, o);
    assert_memory_not_equal(a, b, sizeof b);
    o.seed = 3;
    o.stream = 9;
    draw_order(b, 1000, o);
    assert_memory_not_equal(a, b, sizeof b);
    int fixed = 0, ascending = 0;
    for (int i = 0; i < 1000; i++) {
        fixed += a[i] == i * 10;
        ascending += i > 0 && a[i] > a[i - 1];
    }
    assert_true(fixed < 10);
    assert_in_range(ascending, 440, 560);
}

static void a_step_can_be_asked_for_again(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(5000);
    struct trace trace = {0};
    struct batcher first, resumed;
    struct batch a, b;
    struct batch_options o = {.length = 16, .rows = 4, .micros = 2, .seed = UINT64_MAX, .stream = 2};
    assert_ok(batcher_open(&first, &corpus, &o, &trace), &trace);
    batch_init(&a, 4, 16);
    batch_init(&b, 4, 16);
    for (uint64_t step = 0; step < 50; step++)
        batcher_fill(&first, step, 1, &a);
    assert_ok(batcher_open(&resumed, &corpus, &o, &trace), &trace);
    batcher_fill(&resumed, 49, 1, &b);
    assert_memory_equal(a.ids, b.ids, 64 * sizeof *a.ids);
    assert_memory_equal(a.labels, b.labels, 64 * sizeof *a.labels);
    batcher_fill(&resumed, (uint64_t)1 << 50, 0, &b); /* far away */
    batch_release(&a);
    batch_release(&b);
    batcher_release(&first);
    batcher_release(&resumed);
}

static void train_and_heldout_batches_share_no_token(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(COUNT);
    for (int method = 0; method < 2; method++) {
        unsigned char seen[COUNT] = {0};
        for (int part = PART_TRAIN; part <= PART_HELDOUT; part++) {
            struct trace trace = {0};
            struct batcher batcher;
            struct batch batch;
            /* Different window lengths on purpose. */
            struct batch_options o = {
                .partition = {(enum partition_part)part, (enum partition_method)method, 0.3, 11, 50},
                .order = part == PART_TRAIN ? BATCH_SHUFFLED : BATCH_IN_ORDER,
                .length = part == PART_TRAIN ? 12 : 17,
                .rows = 1,
                .micros = 1,
            };
            assert_ok(batcher_open(&batcher, &corpus, &o, &trace), &trace);
            batch_init(&batch, 1, o.length);
            for (uint64_t step = 0; step < batcher_steps(&batcher); step++) {
                batcher_fill(&batcher, step, 0, &batch);
                for (uint32_t i = 0; i < o.length; i++)
                    seen[batch.ids[i]] |= (unsigned char)(1 << part);
                if (part == PART_TRAIN)
                    seen[batch.labels[o.length - 1]] |= (unsigned char)(1 << part);
            }
            batch_release(&batch);
            batcher_release(&batcher);
        }
        int both = 0, either = 0;
        for (int i = 0; i < COUNT; i++) {
            both += seen[i] == (1 << PART_TRAIN | 1 << PART_HELDOUT);
            either += seen[i] != 0;
        }
        assert_int_equal(both, 0);
        assert_true(either > COUNT / 2);
    }
}

static void in_order_scores_all_but_the_first_of_a_window(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(103);
    struct trace trace = {0};
    struct batcher batcher;
    struct batch batch;
    struct batch_options o = {.order = BATCH_IN_ORDER, .length = 10, .rows = 4, .micros = 1};
    assert_ok(batcher_open(&batcher, &corpus, &o, &trace), &trace);
    assert_int_equal(batcher.windows, 10);
    assert_int_equal(batcher_steps(&batcher), 3);
    batch_init(&batch, 4, 10);
    int scored = 0, next = 0;
    for (uint64_t step = 0; step < 3; step++) {
        batcher_fill(&batcher, step, 0, &batch);
        for (uint32_t row = 0; row < 4; row++)
            for (uint32_t i = 0; i < 10; i++) {
                uint32_t at = row * 10 + i;
                bool is_window = step * 4 + row < 10;
                assert_int_equal(batch.ids[at], is_window ? next++ : 0);
                assert_true(batch.weights[at] == (is_window && i < 9 ? 1 : 0));
                assert_int_equal(batch.labels[at], is_window && i < 9 ? batch.ids[at] + 1 : 0);
                scored += batch.weights[at] == 1;
            }
    }
    assert_int_equal(scored, 90);
    batch_release(&batch);
    batcher_release(&batcher);
}

/* Every token but the first is scored once, after as many as its window holds; as the rolling evaluations of
 * transformers' documentation do. */
static void strides_score_every_token_once(void **state)
{
    (void)state;
    enum { TOKENS = 103, LENGTH = 10, ROWS = 3 };
    struct corpus corpus = make_corpus(TOKENS);
    struct trace trace = {0};
    for (uint32_t stride = 1; stride < LENGTH; stride++) {
        struct batcher batcher;
        struct batch batch;
        struct batch_options o = {
            .order = BATCH_IN_ORDER, .length = LENGTH, .stride = stride, .rows = ROWS, .micros = 1};
        assert_ok(batcher_open(&batcher, &corpus, &o, &trace), &trace);
        batch_init(&batch, ROWS, LENGTH);
        int32_t next = 1; /* make_corpus() counts up */
        for (uint64_t step = 0; step < batcher_steps(&batcher); step++) {
            batcher_fill(&batcher, step, 0, &batch);
            for (uint32_t at = 0; at < ROWS * LENGTH; at++) {
                if (batch.weights[at] == 0)
                    continue;
                assert_int_equal(batch.labels[at], next);
                assert_int_equal(batch.ids[at], next - 1);
                if (next >= LENGTH) /* behind the first window */
                    assert_true(at % LENGTH + 1 >= LENGTH - stride);
                next++;
            }
        }
        assert_int_equal(next, TOKENS);
        batch_release(&batch);
        batcher_release(&batcher);
    }
    struct batcher batcher;
    struct batch_options o = {
        .order = BATCH_IN_ORDER, .length = LENGTH, .stride = LENGTH, .rows = 1, .micros = 1};
    assert_fails(batcher_open(&batcher, &corpus, &o, &trace), INVALID, &trace, "less than the 10 tokens");
}

static void says_how_much_data_is_missing(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(256);
    struct trace trace = {0};
    struct batcher batcher;
    struct batch_options o = {.length = 256, .rows = 1, .micros = 1};
    assert_fails(batcher_open(&batcher, &corpus, &o, &trace), INVALID, &trace,
                 "one window needs 257 tokens in a row");
    assert_non_null(strstr(trace.text, "256 tokens"));
    batcher_release(&batcher);
    corpus.count = 257;
    assert_ok(batcher_open(&batcher, &corpus, &o, &trace), &trace);
    assert_int_equal(batcher.windows, 1);
    batcher_release(&batcher);
    o.partition = (struct partition){PART_HELDOUT, PARTITION_TAIL, 0.001, 0, 0};
    assert_fails(batcher_open(&batcher, &corpus, &o, &trace), INVALID, &trace, "the part \"heldout\"");
    batcher_release(&batcher);
    o.length = 0;
    assert_fails(batcher_open(&batcher, &corpus, &o, &trace), INVALID, &trace, "length of a window");
    batcher_release(&batcher);
    o.length = 1;
    o.rows = 0;
    assert_fails(batcher_open(&batcher, &corpus, &o, &trace), INVALID, &trace, "must have samples");
    batcher_release(&batcher);
}

static void counts_labels_and_their_bytes(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct tokenizer *t;
    struct batch batch;
    uint64_t labels, bytes;
    assert_ok(tokenizer_open(&t, "bytes", &trace), &trace);
    batch_init(&batch, 2, 3);
    batch.weights[1] = batch.weights[5] = 1;
    batch_count(&labels, &bytes, &batch, t);
    assert_int_equal(labels, 2);
    assert_int_equal(bytes, 2);
    batch_release(&batch);
    tokenizer_close(t);
}

/* Samples counted from another one, and windows by their number, are the same samples. */
static void samples_can_be_counted_from_any(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(COUNT);
    struct trace trace = {0};
    struct batcher plain, later;
    struct batch a, b;
    struct batch_options o = {.length = 9, .rows = 2, .micros = 4, .seed = 7}, from = o;
    from.first = 997; /* goes on into the next epoch */
    assert_ok(batcher_open(&plain, &corpus, &o, &trace), &trace);
    assert_ok(batcher_open(&later, &corpus, &from, &trace), &trace);
    batch_init(&a, 2, 9);
    batch_init(&b, 2, 9);
    for (uint64_t n = 0; n < 16; n++) {
        batcher_fill(&later, n / 4, (uint32_t)(n % 4), &a);
        for (uint32_t row = 0; row < 2; row++) {
            uint64_t window = batcher_window(&plain, 997 + 2 * n + row);
            assert_int_equal(batcher_window(&later, 2 * n + row), window);
            batcher_fill_window(&plain, window, row, &b);
        }
        assert_memory_equal(a.ids, b.ids, 18 * sizeof *a.ids);
        assert_memory_equal(a.labels, b.labels, 18 * sizeof *a.labels);
    }
    batch_release(&a);
    batch_release(&b);
    batcher_release(&plain);
    batcher_release(&later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_window_comes_once_an_epoch),
        cmocka_unit_test(the_order_of_samples_does_not_depend_on_how_they_are_grouped),
        cmocka_unit_test(seed_stream_and_epoch_change_the_order),
        cmocka_unit_test(a_step_can_be_asked_for_again),
        cmocka_unit_test(train_and_heldout_batches_share_no_token),
        cmocka_unit_test(in_order_scores_all_but_the_first_of_a_window),
        cmocka_unit_test(strides_score_every_token_once),
        cmocka_unit_test(says_how_much_data_is_missing),
        cmocka_unit_test(counts_labels_and_their_bytes),
        cmocka_unit_test(samples_can_be_counted_from_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
