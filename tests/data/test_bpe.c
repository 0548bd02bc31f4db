/* data/bpe.c against the definition: look at all neighbours, join the best pair, begin again. */
#include "data/bpe.h"
#include "tests/support/test.h"

enum { IDS = 40, BASE = 4, WORD = 60 };

struct rules {
    int32_t result[IDS][IDS]; /* -1: none */
    uint32_t rank[IDS][IDS];
    char text[IDS][64];
};

static uint32_t draw(uint32_t *seed, uint32_t limit)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % limit;
}

/* Random rules as training makes them: every token beyond the base is the join of two earlier ones. */
static void rules_make(struct rules *r, struct bpe *bpe, uint32_t *seed)
{
    memset(r, 0xff, sizeof *r);
    for (int id = 0; id < BASE; id++)
        snprintf(r->text[id], sizeof r->text[id], "%c", 'a' + id);
    bpe_init(bpe, IDS);
    for (int32_t id = BASE; id < IDS; id++) {
        int32_t left, right;
        do {
            left = (int32_t)draw(seed, (uint32_t)id);
            right = (int32_t)draw(seed, (uint32_t)id);
        } while (r->result[left][right] >= 0 ||
                 strlen(r->text[left]) + strlen(r->text[right]) >= sizeof r->text[0]);
        r->result[left][right] = id;
        r->rank[left][right] = (uint32_t)id;
        char joined[2 * sizeof r->text[0]];
        snprintf(joined, sizeof joined, "%s%s", r->text[left], r->text[right]);
        memcpy(r->text[id], joined, strlen(joined) + 1);
        bpe_add_rule(bpe, left, right, (uint32_t)id, id);
        bpe_add_joint(bpe, r->text[left][strlen(r->text[left]) - 1] - 'a', r->text[right][0] - 'a');
    }
}

static size_t merge_by_definition(const struct rules *r, int32_t *word, size_t count)
{
    for (;;) {
        size_t best = count;
        for (size_t i = 0; i + 1 < count; i++)
            if (r->result[word[i]][word[i + 1]] >= 0 &&
                (best == count || r->rank[word[i]][word[i + 1]] < r->rank[word[best]][word[best + 1]]))
                best = i;
        if (best == count)
            return count;
        word[best] = r->result[word[best]][word[best + 1]];
        memmove(word + best + 1, word + best + 2, (count - best - 2) * sizeof *word);
        count--;
    }
}

static void merges_as_the_definition_says(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 200; round++) {
        struct rules rules;
        struct bpe bpe;
        rules_make(&rules, &bpe, &seed);
        for (int trial = 0; trial < 20; trial++) {
            int32_t word[WORD], expected[WORD];
            size_t count = draw(&seed, WORD + 1);
            for (size_t i = 0; i < count; i++)
                expected[i] = word[i] = (int32_t)draw(&seed, BASE);
            size_t wanted = merge_by_definition(&rules, expected, count);
            assert_int_equal(bpe_merge(&bpe, word, count), wanted);
            assert_memory_equal(word, expected, wanted * sizeof *word);
        }
        bpe_release(&bpe);
    }
}

static void cutting_at_seams_changes_nothing(void **state)
{
    (void)state;
    uint32_t seed = 9;
    size_t cuts = 0;
    for (int round = 0; round < 400; round++) {
        struct bpe bpe;
        bpe_init(&bpe, 4);
        /* Few rules over eight letters, so that there are seams: ab, abc, de. */
        int32_t a = (int32_t)draw(&seed, 8), b = (int32_t)draw(&seed, 8), c = (int32_t)draw(&seed, 8);
        bpe_add_rule(&bpe, a, b, 0, 8);
        bpe_add_joint(&bpe, a, b);
        bpe_add_rule(&bpe, 8, c, 1, 9);
        bpe_add_joint(&bpe, b, c);
        int32_t whole[WORD], parts[WORD];
        for (size_t i = 0; i < WORD; i++)
            whole[i] = parts[i] = (int32_t)draw(&seed, 8);
        size_t kept = 0, start = 0;
        int32_t word[WORD];
        memcpy(word, whole, sizeof word);
        for (size_t i = 1; i <= WORD; i++)
            if (i == WORD || bpe_is_seam(&bpe, word[i - 1], word[i])) {
                size_t count = bpe_merge(&bpe, word + start, i - start);
                memcpy(parts + kept, word + start, count * sizeof *parts);
                kept += count;
                cuts += i < WORD;
                start = i;
            }
        assert_int_equal(bpe_merge(&bpe, whole, WORD), kept);
        assert_memory_equal(whole, parts, kept * sizeof *parts);
        bpe_release(&bpe);
    }
    assert_true(cuts > 1000);
}

static void a_later_rule_replaces_an_earlier_one(void **state)
{
    (void)state;
    struct bpe bpe;
    int32_t word[] = {1, 2};
    bpe_init(&bpe, 2);
    bpe_add_rule(&bpe, 1, 2, 0, 3);
    bpe_add_rule(&bpe, 1, 2, 1, 4);
    assert_int_equal(bpe_merge(&bpe, word, 2), 1);
    assert_int_equal(word[0], 4);
    bpe_release(&bpe);
}

static void a_word_of_a_million_symbols_is_no_problem(void **state)
{
    (void)state;
    enum { COUNT = 1 << 20 };
    struct bpe bpe;
    int32_t *word = calloc(COUNT, sizeof *word);
    bpe_init(&bpe, 20);
    for (int32_t id = 0; id < 20; id++)
        bpe_add_rule(&bpe, id, id, (uint32_t)id, id + 1);
    assert_int_equal(bpe_merge(&bpe, word, COUNT), 1);
    assert_int_equal(word[0], 20);
    bpe_release(&bpe);
    free(word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_as_the_definition_says),
        cmocka_unit_test(cutting_at_seams_changes_nothing),
        cmocka_unit_test(a_later_rule_replaces_an_earlier_one),
        cmocka_unit_test(a_word_of_a_million_symbols_is_no_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
