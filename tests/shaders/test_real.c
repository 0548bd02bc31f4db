/* The number type of twin kernels, compiled both ways: close to libm as float, libm itself as double. */
#include "tests/support/test.h"

#include "shaders/scalar/real.h"
#include <math.h>

#ifdef ESPALIER_DOUBLE
#define TOLERANCE 0
#else
#define TOLERANCE 4e-7
#endif

static void assert_near(real got, double want)
{
    if (!(fabs((double)got - want) <= TOLERANCE * fabs(want)))
        fail_msg("%.17g instead of %.17g", (double)got, want);
}

static void functions_follow_libm(void **state)
{
    (void)state;
    for (int i = -40; i <= 40; i++) {
        real x = (real)i / 8 + (real)0.0625, a = x < 0 ? -x : x;
        double d = (double)x, e = (double)a;
        assert_near(r_exp(x), exp(d));
        assert_near(r_log(a), log(e));
        assert_near(r_pow(a, x), pow(e, d));
        assert_near(r_pow_int(a, 5), pow(e, 5));
        assert_near(r_div(a, 3), e / 3);
        assert_near(r_rcp(x), 1 / d);
        assert_near(r_sqrt(a), sqrt(e));
        assert_near(r_rsqrt(a), 1 / sqrt(e));
        assert_near(r_sin(x), sin(d));
        assert_near(r_cos(x), cos(d));
        assert_near(r_tanh(x), tanh(d));
        assert_near(r_erf(x), erf(d));
        assert_near(r_sigmoid(x), 1 / (1 + exp(-d)));
        assert_near(r_silu(x), d / (1 + exp(-d)));
        assert_near(r_abs(x), e);
        assert_near(r_max(x, 0), d > 0 ? d : 0);
        assert_near(r_min(x, 0), d < 0 ? d : 0);
    }
    assert_near(r_from_uint(12345), 12345);
    assert_near(r_from_int(-12345), -12345);
    assert_true(r_is_finite(R_CONST(0x3f000000u)) && !r_is_finite(R_CONST(0x7f800000u)));
    assert_near(R_CONST(0x3f000000u), 0.5);
}

static void only_floats_are_flushed(void **state)
{
    (void)state;
    real tiny = (real)0x1p-60, square = (real)0x1p-125;
#ifdef ESPALIER_DOUBLE
    assert_true(sizeof(real) == sizeof(double) && r_flush(tiny) == tiny && r_flush_square(square) == square);
#else
    assert_true(sizeof(real) == sizeof(float) && r_flush(tiny) == 0 && r_flush_square(square) == 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_follow_libm),
        cmocka_unit_test(only_floats_are_flushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
