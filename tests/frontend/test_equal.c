/* Comparing large weights wholly and in places, in rows and across them. */
#include "frontend/lower.h"
#include "tests/support/test.h"
#include <stdlib.h>

enum { ROWS = 4096, COLUMNS = 2560 }; /* more than what is compared wholly */

struct weights {
    float *values[2];
    struct tensor_view views[2]; /* the second [COLUMNS, ROWS], turned */
};

static void create(struct weights *w)
{
    for (int i = 0; i < 2; i++)
        w->values[i] = malloc(sizeof(float) * ROWS * COLUMNS);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t c = 0; c < COLUMNS; c++)
            w->values[0][r * COLUMNS + c] = w->values[1][c * ROWS + r] = (float)(r * COLUMNS + c);
    for (int i = 0; i < 2; i++)
        w->views[i] = (struct tensor_view){.base = (const uint8_t *)w->values[i],
                                           .base_size = sizeof(float) * ROWS * COLUMNS,
                                           .dtype = DTYPE_F32,
                                           .rank = 2,
                                           .dims = {ROWS, COLUMNS},
                                           .strides = {i ? 1 : COLUMNS, i ? ROWS : 1}};
}

static void release(struct weights *w)
{
    free(w->values[0]);
    free(w->values[1]);
}

static void one_element_makes_the_difference(void **state)
{
    (void)state;
    static const int64_t places[][2] = {{0, 0}, {ROWS - 1, COLUMNS - 1}, {17, 2000}, {2047, 1}};
    struct weights w;
    create(&w);
    struct tensor_view copy = w.views[0];
    float *values = malloc(sizeof(float) * ROWS * COLUMNS);
    memcpy(values, w.values[0], sizeof(float) * ROWS * COLUMNS);
    copy.base = (const uint8_t *)values;
    assert_true(weights_equal(&w.views[0], &w.views[1]));
    assert_true(weights_equal(&w.views[0], &copy));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        values[places[i][0] * COLUMNS + places[i][1]] += 1;
        assert_false(weights_equal(&w.views[0], &copy)); /* in runs */
        assert_false(weights_equal(&w.views[1], &copy)); /* in tiles */
        values[places[i][0] * COLUMNS + places[i][1]] -= 1;
    }
    free(values);
    release(&w);
}

static void a_look_is_certain_of_differences_only(void **state)
{
    (void)state;
    struct weights w;
    bool is_certain;
    create(&w);
    assert_true(weights_look_equal(&is_certain, &w.views[0], &w.views[1]));
    assert_false(is_certain);
    assert_true(weights_look_equal(&is_certain, &w.views[0], &w.views[0]));
    assert_true(is_certain);
    w.values[1][ROWS * COLUMNS - 1] += 1; /* the last places are looked at */
    assert_false(weights_look_equal(&is_certain, &w.views[0], &w.views[1]));
    assert_true(is_certain);
    w.values[1][ROWS * COLUMNS - 1] -= 1;
    w.values[1][ROWS - 1] += 1; /* the first of the last row is not */
    assert_true(weights_look_equal(&is_certain, &w.views[0], &w.views[1]));
    assert_false(is_certain);
    for (int i = 0; i < 2; i++)
        w.views[i].dims[0] = 8; /* little enough for all */
    w.values[1][7] += 1;
    assert_false(weights_look_equal(&is_certain, &w.views[0], &w.views[1]));
    assert_true(is_certain);
    release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_element_makes_the_difference),
        cmocka_unit_test(a_look_is_certain_of_differences_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
