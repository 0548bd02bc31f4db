/* Rates and the optimizer's numbers against the formulas in double. */
#include "tests/support/test.h"
#include "train/schedule.h"
#include <math.h>

static void assert_close(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance * (fabs(expected) + 1e-12)))
        fail_msg("expected %.9g, found %.9g", expected, found);
}

static void follows_the_cosine(void **state)
{
    (void)state;
    struct schedule s = {.kind = SCHEDULE_cosine, .warmup = 4, .steps = 50, .peak = 1e-3f, .final = 1e-4f};
    struct trace trace = {0};
    assert_ok(schedule_check(&s, &trace), &trace);
    for (uint32_t t = 0; t < s.steps; t++) {
        double expected = 1e-3 * (t + 1) / 5;
        if (t >= 4)
            expected = 1e-4 + 9e-4 * 0.5 * (1 + cos(acos(-1.0) * (t - 4) / 46));
        assert_close(schedule_rate(&s, t), expected, 1e-6);
    }
}

static void follows_the_line_and_the_constant(void **state)
{
    (void)state;
    struct schedule s = {.kind = SCHEDULE_linear, .steps = 10, .peak = 0.5f};
    for (uint32_t t = 0; t < s.steps; t++)
        assert_close(schedule_rate(&s, t), 0.5 * (1 - t / 10.0), 1e-6);
    s.kind = SCHEDULE_constant;
    assert_close(schedule_rate(&s, 9), 0.5, 0);
}

static void holds_the_peak_and_comes_down_at_the_end(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct schedule s = {
        .kind = SCHEDULE_wsd, .warmup = 3, .steps = 20, .decay = 5, .peak = 0.5f, .final = 0.1f};
    assert_ok(schedule_check(&s, &trace), &trace);
    for (uint32_t t = 0; t < s.steps; t++) {
        double expected = t < 3 ? 0.5 * (t + 1) / 4 : t <= 15 ? 0.5 : 0.1 + 0.4 * (20 - t) / 5.0;
        assert_close(schedule_rate(&s, t), expected, 1e-6);
    }
    s.decay = 0;
    assert_close(schedule_rate(&s, 19), 0.5, 0);
    s.decay = 18;
    assert_fails(schedule_check(&s, &trace), INVALID, &trace, "no more decay than steps");
}

static void rejects_settings_without_sense(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct schedule s = {.kind = SCHEDULE_linear, .steps = 10, .warmup = 11, .peak = 0.5f};
    assert_fails(schedule_check(&s, &trace), INVALID, &trace, "warm-up");
    s = (struct schedule){.steps = 10, .peak = 0.5f, .final = 1};
    assert_fails(schedule_check(&s, &trace), INVALID, &trace, "learning rate");
    s.peak = NAN;
    assert_fails(schedule_check(&s, &trace), INVALID, &trace, "learning rate");
    struct adamw a = {.beta1 = 1, .beta2 = 0.9f, .epsilon = 1e-8f};
    assert_fails(adamw_check(&a, &trace), INVALID, &trace, "beta1");
    a = (struct adamw){.beta1 = 0.9f, .beta2 = 0.9f};
    assert_fails(adamw_check(&a, &trace), INVALID, &trace, "epsilon");
}

static void corrects_the_bias_of_moments(void **state)
{
    (void)state;
    struct adamw a = {.beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .decay = 0.1f, .max_norm = 1};
    for (uint32_t t = 0; t < 2000; t += 37) {
        float hyper[HYPER_SIZE];
        adamw_hyper(hyper, &a, 1e-3f, t, 300);
        assert_close(hyper[5], 1 / (1 - pow(0.9f, t + 1)), 2e-6);
        assert_close(hyper[6], 1 / (1 - pow(0.95f, t + 1)), 2e-6);
        assert_close(hyper[8], 1 - 1e-4, 1e-6);
        assert_close(hyper[10], 1 / 300.0, 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_cosine),
        cmocka_unit_test(follows_the_line_and_the_constant),
        cmocka_unit_test(holds_the_peak_and_comes_down_at_the_end),
        cmocka_unit_test(rejects_settings_without_sense),
        cmocka_unit_test(corrects_the_bias_of_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
