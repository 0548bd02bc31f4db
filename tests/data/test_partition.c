/* data/partition.c: train and held-out parts cover the stream and share nothing. */
#include "data/partition.h"
#include "tests/support/test.h"

/* Marks each token that `part` has; returns how many. */
static uint64_t mark(unsigned char *seen, uint64_t count, struct partition p)
{
    struct arena arena = {0};
    struct token_ranges ranges;
    struct trace trace = {0};
    uint64_t tokens = 0, before = 0;
    assert_ok(partition_find(&ranges, &arena, p, count, &trace), &trace);
    for (uint32_t i = 0; i < ranges.items.count; i++) {
        struct token_range r = ranges.items.items[i];
        assert_true(r.count > 0 && r.first + r.count <= count);
        assert_true(i == 0 || r.first > before); /* ascending, never touching */
        before = r.first + r.count;
        tokens += r.count;
        for (uint64_t t = 0; t < r.count; t++)
            seen[r.first + t]++;
    }
    arena_release(&arena);
    return tokens;
}

static void parts_cover_the_stream_and_share_nothing(void **state)
{
    (void)state;
    static unsigned char seen[70000];
    uint64_t counts[] = {0, 1, 7, 100, 8192, 8193, 69999};
    double fractions[] = {1e-9, 0.05, 0.5, 0.99};
    for (int method = 0; method < 2; method++)
        for (size_t c = 0; c < 7; c++)
            for (size_t f = 0; f < 4; f++)
                for (uint64_t seed = 0; seed < 5; seed++) {
                    struct partition p = {PART_TRAIN, (enum partition_method)method, fractions[f], seed,
                                          seed ? 13 : 0};
                    memset(seen, 0, sizeof seen);
                    mark(seen, counts[c], p);
                    p.part = PART_HELDOUT;
                    mark(seen, counts[c], p);
                    for (uint64_t i = 0; i < counts[c]; i++)
                        assert_int_equal(seen[i], 1);
                }
}

static void holds_out_about_the_fraction(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    unsigned char *seen = calloc(COUNT, 1);
    struct partition p = {PART_HELDOUT, PARTITION_BLOCKS, 0.1, 42, 100};
    uint64_t blocks = mark(seen, COUNT, p);
    assert_in_range(blocks, 90000, 110000); /* 10,000 draws: 3.3 standard deviations */
    p.method = PARTITION_TAIL;
    assert_in_range(mark(seen, COUNT, p), 99999, 100000);
    p.part = PART_ALL;
    assert_int_equal(mark(seen, COUNT, p), COUNT);
    free(seen);
}

static void another_seed_holds_out_other_blocks(void **state)
{
    (void)state;
    static unsigned char a[100000], b[100000];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    mark(a, sizeof a, (struct partition){PART_HELDOUT, PARTITION_BLOCKS, 0.5, 1, 100});
    mark(b, sizeof b, (struct partition){PART_HELDOUT, PARTITION_BLOCKS, 0.5, 2, 100});
    assert_memory_not_equal(a, b, sizeof a);
}

static void rejects_impossible_fractions(void **state)
{
    (void)state;
    double wrong[] = {0, 1, -0.1, 1.5, 0.0 / 0.0};
    for (size_t i = 0; i < 5; i++) {
        struct arena arena = {0};
        struct token_ranges ranges;
        struct trace trace = {0};
        struct partition p = {PART_TRAIN, PARTITION_TAIL, wrong[i], 0, 0};
        assert_fails(partition_find(&ranges, &arena, p, 10, &trace), INVALID, &trace, "held-out fraction");
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_cover_the_stream_and_share_nothing),
        cmocka_unit_test(holds_out_about_the_fraction),
        cmocka_unit_test(another_seed_holds_out_other_blocks),
        cmocka_unit_test(rejects_impossible_fractions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
