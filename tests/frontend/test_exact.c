/* The elementary functions of the importer against libm. */
#include "frontend/exact.h"
#include "tests/support/test.h"
#include <math.h>

static double worst; /* relative error */

static void note(double found, double wanted)
{
    if (wanted == 0 || !isfinite(wanted)) {
        assert_true(found == wanted || (isnan(found) && isnan(wanted)));
        return;
    }
    worst = fmax(worst, fabs(found / wanted - 1));
}

static void exponentials_and_logarithms_are_right_to_1e_15(void **state)
{
    (void)state;
    worst = 0;
    for (double x = -700; x < 700; x += 0.137)
        note(exact_exp(x), exp(x));
    for (double x = 1e-300; x < 1e300; x *= 1.0371)
        note(exact_log(x), log(x));
    for (double x = 0.5; x < 2; x += 1.7e-4)
        if (x != 1)
            note(exact_log(x), log(x));
    assert_true(worst < 1e-15);
    assert_true(exact_exp(0) == 1 && exact_exp(-INFINITY) == 0 && exact_exp(INFINITY) == INFINITY);
    assert_true(exact_log(1) == 0 && exact_log(0) == -INFINITY && isnan(exact_log(-1)) &&
                isnan(exact_exp(NAN)));
}

static void powers_are_right_to_1e_13(void **state)
{
    (void)state;
    static const double bases[] = {0.5, 2, 100, 10000, 500000, 1e6, 1e7};
    worst = 0;
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
        for (int d = 2; d <= 256; d += 2)
            for (int i = 0; i < d; i += 2) {
                double y = (double)i / d;
                note(exact_pow(bases[b], y), pow(bases[b], y));
                note(exact_pow(bases[b], -y), pow(bases[b], -y));
            }
    assert_true(worst < 1e-14);
    for (int y = -64; y <= 64; y++)
        note(exact_pow(-1.25, y), pow(-1.25, y));
    assert_true(worst < 1e-13);
    assert_true(exact_pow(3, 2) == 9 && exact_pow(0, 2) == 0 && exact_pow(7, 0) == 1 &&
                exact_pow(4, 0.5) == 2);
    assert_true(isnan(exact_pow(-2, 0.3)) && exact_pow(0, 0.3) == 0);
}

static void sines_and_cosines_are_right_to_1e_15(void **state)
{
    (void)state;
    double error = 0;
    for (double x = -20; x < 20; x += 0.00137)
        error = fmax(error, fmax(fabs(exact_sin(x) - sin(x)), fabs(exact_cos(x) - cos(x))));
    for (double x = 20; x < 1e6; x += 97.31)
        error = fmax(error, fmax(fabs(exact_sin(x) - sin(x)), fabs(exact_cos(x) - cos(x))));
    assert_true(error < 1e-15);
    assert_true(exact_sin(0) == 0 && exact_cos(0) == 1 && isnan(exact_sin(INFINITY)));
}

static void angles_are_those_of_points_on_the_circle(void **state)
{
    (void)state;
    double error = 0;
    for (double x = -3.14; x < 3.14; x += 0.00173)
        error = fmax(error, fabs(exact_angle(sin(x), cos(x)) - x));
    for (double x = 1; x > 1e-9; x *= 0.83)
        assert_true(fabs(exact_angle(sin(x), cos(x)) / x - 1) < 1e-15);
    assert_true(error < 5e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials_and_logarithms_are_right_to_1e_15),
        cmocka_unit_test(powers_are_right_to_1e_13),
        cmocka_unit_test(sines_and_cosines_are_right_to_1e_15),
        cmocka_unit_test(angles_are_those_of_points_on_the_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
