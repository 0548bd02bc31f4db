/* data/mixture.c: shares hold exactly, and every source's micro-batches are numbered without gaps. */
#include "data/mixture.h"
#include "tests/support/test.h"

enum { PERIODS = 6 };

static const struct mixture mixtures[] = {
    {.count = 1, .shares = {7}, .seed = 1},
    {.count = 2, .shares = {3, 1}, .seed = 1},
    {.count = 3, .shares = {1, 1, 1}, .seed = 9},
    {.count = 4, .shares = {5, 2, 1, 9}, .seed = 0},
};

static void shares_hold_in_every_period(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof mixtures / sizeof *mixtures; n++) {
        const struct mixture *m = &mixtures[n];
        uint64_t drawn[4] = {0}, period = 0, at = 0;
        for (uint32_t i = 0; i < m->count; i++)
            period += m->shares[i];
        for (uint64_t p = 1; p <= PERIODS; p++) {
            for (uint64_t i = 0; i < period; i++, at++) {
                for (uint32_t source = 0; source < m->count; source++)
                    assert_int_equal(mixture_count(m, source, at), drawn[source]);
                struct mixture_pick pick = mixture_pick(m, at);
                assert_in_range(pick.source, 0, m->count - 1);
                assert_int_equal(pick.number, drawn[pick.source]);
                drawn[pick.source]++;
            }
            for (uint32_t source = 0; source < m->count; source++)
                assert_int_equal(drawn[source], p * m->shares[source]);
        }
    }
}

static void the_order_is_another_in_each_period_and_for_each_seed(void **state)
{
    (void)state;
    struct mixture m = {.count = 2, .shares = {20, 20}, .seed = 4}, other = m;
    uint32_t by_period = 0, by_seed = 0;
    other.seed = 5;
    for (uint64_t i = 0; i < 40; i++) {
        by_period += mixture_pick(&m, i).source != mixture_pick(&m, 40 + i).source;
        by_seed += mixture_pick(&m, i).source != mixture_pick(&other, i).source;
    }
    assert_true(by_period > 0);
    assert_true(by_seed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_hold_in_every_period),
        cmocka_unit_test(the_order_is_another_in_each_period_and_for_each_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
