/* Bases recovered from frequencies made by the formula, disturbed and not. */
#include "emit/rotary_base.h"
#include "tests/support/test.h"
#include <math.h>

enum { PAIRS = 32 };

static struct tensor_view make(float w[PAIRS], double base, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        w[i] = (float)(1 / pow(base, 2 * (double)i / (2 * (double)count)));
    return (struct tensor_view){
        .base = (uint8_t *)w, .base_size = sizeof(float) * PAIRS, .rank = 1, .dims = {count}, .strides = {1}};
}

static float *element(struct tensor_view *view, int64_t i)
{
    return (float *)(uintptr_t)view->base + i;
}

static void finds_usual_bases_exactly(void **state)
{
    (void)state;
    const float bases[] = {10000, 500000, 1000000, 123456, 2};
    struct trace trace = {0};
    float w[PAIRS], found;
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        for (int64_t count = 2; count <= PAIRS; count++) {
            struct tensor_view view = make(w, (double)bases[i], count);
            assert_ok(rotary_base_find(&found, &view, &trace), &trace);
            assert_true(found == bases[i]);
        }
}

static void finds_a_base_that_is_not_whole(void **state)
{
    (void)state;
    struct trace trace = {0};
    float w[PAIRS], found;
    struct tensor_view view = make(w, 10000.75, PAIRS);
    assert_ok(rotary_base_find(&found, &view, &trace), &trace);
    assert_true(fabs((double)found - 10000.75) < 0.01);
}

static void takes_any_base_for_one_pair(void **state)
{
    (void)state;
    struct trace trace = {0};
    float w[PAIRS] = {1}, found;
    struct tensor_view view = make(w, 77, 1);
    assert_ok(rotary_base_find(&found, &view, &trace), &trace);
    assert_true(found == 10000);
}

static void allows_rounding_of_other_programs(void **state)
{
    (void)state;
    struct trace trace = {0};
    float w[PAIRS], found;
    struct tensor_view view = make(w, 10000, PAIRS);
    for (int i = 0; i < 3; i++)
        *element(&view, 7) = nextafterf(*element(&view, 7), 1);
    assert_ok(rotary_base_find(&found, &view, &trace), &trace);
    assert_true(found == 10000);
}

static void refuses_what_is_no_power_naming_it(void **state)
{
    (void)state;
    struct trace trace = {0};
    float w[PAIRS], found;
    struct tensor_view view = make(w, 10000, PAIRS);
    for (int i = 0; i < 6; i++)
        *element(&view, 7) = nextafterf(*element(&view, 7), 1);
    assert_fails(rotary_base_find(&found, &view, &trace), UNSUPPORTED, &trace, "number 7 of 32");
    *element(&view, 7) = NAN;
    assert_fails(rotary_base_find(&found, &view, &trace), UNSUPPORTED, &trace, "number 7 of 32");
    view = make(w, 10000, PAIRS); /* all slowed down, as for a longer context */
    for (int i = 0; i < PAIRS; i++)
        *element(&view, i) /= 4;
    assert_fails(rotary_base_find(&found, &view, &trace), UNSUPPORTED, &trace, "no powers of one base");
    view = make(w, 10000, PAIRS);
    *element(&view, PAIRS - 1) = 0;
    assert_fails(rotary_base_find(&found, &view, &trace), UNSUPPORTED, &trace, "no powers of one base");
    *element(&view, PAIRS - 1) = -1;
    assert_fails(rotary_base_find(&found, &view, &trace), UNSUPPORTED, &trace, "no powers of one base");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_usual_bases_exactly),
        cmocka_unit_test(finds_a_base_that_is_not_whole),
        cmocka_unit_test(takes_any_base_for_one_pair),
        cmocka_unit_test(allows_rounding_of_other_programs),
        cmocka_unit_test(refuses_what_is_no_power_naming_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
