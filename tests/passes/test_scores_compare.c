/* passes/scores_compare.c against scipy.stats.spearmanr and sets counted by hand. */
#include "passes/scores_compare.h"
#include "tests/support/test.h"
#include <math.h>

static const float x[] = {3.5f, 1.25f, 2, 2, 9, -4, 0.5f, 2, 7, 7}, y[] = {2, 1, 3, 3, 8, -1, 4, 0, 9, 6};

static struct scores_agreement compare(const float *a, const float *b, uint32_t count, double share)
{
    struct score s = {STR("a"), a, count}, t = {STR("b"), b, count};
    struct scores_agreement out;
    scores_compare(&out, &s, &t, share);
    return out;
}

static void correlates_ranks_with_ties(void **state)
{
    (void)state;
    float negative[10];
    for (int i = 0; i < 10; i++)
        negative[i] = -x[i];
    assert_true(fabs(compare(x, y, 10, 0.5).correlation - 0.7099306475918926) < 1e-12); /* scipy 1.x */
    assert_true(fabs(compare(x, x, 10, 0.5).correlation - 1) < 1e-12);
    assert_true(fabs(compare(x, negative, 10, 0.5).correlation + 1) < 1e-12);
    static const float constant[] = {1, 1, 1};
    assert_true(compare(x, constant, 3, 0.5).correlation == 0);
    assert_true(compare(x, y, 1, 0.5).correlation == 0);
}

static void counts_what_both_keep(void **state)
{
    (void)state;
    struct scores_agreement a = compare(x, y, 10, 0.4); /* 4 8 9 0 and 8 4 9 6 */
    assert_int_equal(a.kept, 4);
    assert_int_equal(a.both, 3);
    a = compare(x, y, 10, 0.01); /* at least one: 4 and 8 */
    assert_int_equal(a.kept, 1);
    assert_int_equal(a.both, 0);
    a = compare(x, y, 10, 1);
    assert_int_equal(a.both, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlates_ranks_with_ties),
        cmocka_unit_test(counts_what_both_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
