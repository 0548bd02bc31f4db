/* search/kendall.c against scipy.stats.kendalltau (tau-b). */
#include "search/kendall.h"
#include "tests/support/test.h"
#include <math.h>

static void agrees_with_scipy(void **state)
{
    (void)state;
    static const double one[] = {1, 2, 3, 4, 5, 6}, other[] = {3, 1, 2, 6, 5, 4};
    static const double tied[] = {1, 2, 2, 3, 5, 5, 7}, also_tied[] = {2, 1, 3, 3, 3, 6, 8};
    assert_true(fabs(kendall_tau(one, other, 6) - 0.3333333333333333) < 1e-15);
    assert_true(fabs(kendall_tau(tied, also_tied, 7) - 0.7570332986102252) < 1e-15);
}

static void is_one_for_the_same_order_and_minus_one_for_the_opposite(void **state)
{
    (void)state;
    static const double up[] = {1, 2, 3}, scaled[] = {-5, 0, 100}, down[] = {3, 2, 1};
    assert_true(kendall_tau(up, scaled, 3) == 1);
    assert_true(kendall_tau(up, down, 3) == -1);
}

static void is_no_number_without_pairs(void **state)
{
    (void)state;
    static const double same[] = {4, 4, 4}, up[] = {1, 2, 3};
    assert_true(isnan(kendall_tau(up, up, 1)));
    assert_true(isnan(kendall_tau(up, up, 0)));
    assert_true(isnan(kendall_tau(same, up, 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_scipy),
        cmocka_unit_test(is_one_for_the_same_order_and_minus_one_for_the_opposite),
        cmocka_unit_test(is_no_number_without_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
