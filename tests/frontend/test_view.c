/* Views against a direct enumeration: every element of a view, reached through its atoms, is the element that
 * numpy's reshape, transpose and broadcast rules name. */
#include "frontend/view.h"
#include "tests/support/test.h"

enum { CHANNELS = 24, MANY = 4096 };

/* The source element (batch, position, channel as one number) at a position of a view, at probe 0. */
static int64_t source_of(const struct view *view, const int64_t *index)
{
    int64_t batch = 0, position = 0, channel = view->offset;
    for (uint32_t axis = 0; axis < view->rank; axis++) {
        int64_t rest = index[axis];
        for (uint32_t i = view->ends[axis]; i-- > view_start(view, axis);) {
            const struct atom *atom = &view->atoms[i];
            int64_t size = atom->kind == ATOM_BATCH      ? probes[0].batch
                           : atom->kind == ATOM_SEQUENCE ? probes[0].sequence
                                                         : atom->size;
            int64_t digit = rest % size;
            rest /= size;
            if (atom->kind == ATOM_BATCH)
                batch = digit;
            else if (atom->kind == ATOM_SEQUENCE)
                position = digit;
            else if (atom->kind == ATOM_STATIC)
                channel += digit * atom->stride;
        }
        assert_int_equal(rest, 0);
    }
    return (batch * probes[0].sequence + position) * CHANNELS + channel;
}

/* All elements in row-major order. */
static uint32_t enumerate(const struct view *view, int64_t out[MANY])
{
    struct shape shape = view_shape(view);
    int64_t index[ONNX_MAX_RANK] = {0};
    uint32_t total = 1;
    for (uint32_t axis = 0; axis < shape.rank; axis++)
        total *= (uint32_t)shape.dims[0][axis];
    assert_true(total <= MANY);
    for (uint32_t i = 0; i < total; i++) {
        out[i] = source_of(view, index);
        for (uint32_t axis = shape.rank; axis-- > 0;) {
            if (++index[axis] < shape.dims[0][axis])
                break;
            index[axis] = 0;
        }
    }
    return total;
}

/* A size with -2 for the batch, -3 for the sequence, -6 for both, else itself. */
static struct shape shape_of(uint32_t rank, const int64_t *codes)
{
    struct shape shape = {.rank = rank};
    for (uint32_t p = 0; p < PROBES; p++)
        for (uint32_t i = 0; i < rank; i++)
            shape.dims[p][i] = codes[i] == -2   ? probes[p].batch
                               : codes[i] == -3 ? probes[p].sequence
                               : codes[i] == -6 ? probes[p].batch * probes[p].sequence
                                                : codes[i];
    return shape;
}

#define SHAPE(...) shape_of(sizeof((int64_t[]){__VA_ARGS__}) / 8, (int64_t[]){__VA_ARGS__})

static void keeps_row_major_order_when_reshaped(void **state)
{
    (void)state;
    static int64_t before[MANY], after[MANY];
    const struct shape shapes[] = {SHAPE(-2, -3, 4, 6),      SHAPE(-6, 24),          SHAPE(-2, -3, 24),
                                   SHAPE(-6, 2, 3, 4),       SHAPE(-2, 1, -3, 8, 3), SHAPE(-6, 1, 24),
                                   SHAPE(-2, -3, 2, 2, 2, 3)};
    struct view view = view_rows(CHANNELS), next;
    uint32_t count = enumerate(&view, before);
    for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        assert_true(view_reshape(&next, &view, &shapes[i]));
        assert_int_equal(enumerate(&next, after), count);
        assert_memory_equal(before, after, count * sizeof *before);
        view = next;
    }
    const struct shape whole = SHAPE(-2, -3, 24);
    assert_true(view_reshape(&next, &view, &whole));
    const struct view rows = view_rows(CHANNELS);
    assert_true(view_equal(&next, &rows)); /* taken apart and put together is the same */
}

static void refuses_to_cut_batch_and_sequence(void **state)
{
    (void)state;
    const struct view view = view_rows(CHANNELS);
    struct view out;
    const struct shape swapped = SHAPE(-3, -2, 24), mixed = SHAPE(-2, 9, 8), short_ = SHAPE(-2, -3, 12),
                       wrong = SHAPE(-2, -3, 5, 5), empty = SHAPE(-2, -3, 0);
    assert_false(view_reshape(&out, &view, &swapped));
    assert_false(view_reshape(&out, &view, &mixed));
    assert_false(view_reshape(&out, &view, &short_));
    assert_false(view_reshape(&out, &view, &wrong));
    assert_false(view_reshape(&out, &view, &empty));
}

static void transposes_axes(void **state)
{
    (void)state;
    static int64_t found[MANY];
    const struct shape heads = SHAPE(-2, -3, 4, 6);
    const struct view rows = view_rows(CHANNELS);
    struct view split, view;
    assert_true(view_reshape(&split, &rows, &heads));
    view_transpose(&view, &split, (const uint32_t[]){0, 2, 3, 1});
    uint32_t count = enumerate(&view, found), at = 0;
    for (int64_t b = 0; b < 2; b++)
        for (int64_t h = 0; h < 4; h++)
            for (int64_t d = 0; d < 6; d++)
                for (int64_t s = 0; s < 3; s++)
                    assert_int_equal(found[at++], (b * 3 + s) * CHANNELS + h * 6 + d);
    assert_int_equal(at, count);
}

static void repeats_heads_in_place(void **state)
{
    (void)state;
    static int64_t found[MANY];
    const struct shape heads = SHAPE(-2, -3, 4, 6), wide = SHAPE(-2, -3, 4, 2, 6),
                       merged = SHAPE(-2, -3, 8, 6);
    const struct view rows = view_rows(CHANNELS);
    struct view split, expanded, view;
    assert_true(view_reshape(&split, &rows, &heads));
    view_insert(&split, 3);
    assert_true(view_expand(&expanded, &split, &wide));
    assert_true(view_reshape(&view, &expanded, &merged));
    enumerate(&view, found);
    for (int64_t h = 0; h < 8; h++)
        for (int64_t d = 0; d < 6; d++)
            assert_int_equal(found[h * 6 + d], h / 2 * 6 + d);
}

static void slices_channels_of_every_head(void **state)
{
    (void)state;
    static int64_t found[MANY];
    const struct shape heads = SHAPE(-2, -3, 4, 6);
    const struct view rows = view_rows(CHANNELS);
    struct view view;
    assert_true(view_reshape(&view, &rows, &heads));
    assert_true(view_slice(&view, 3, 2, 3));
    enumerate(&view, found);
    for (int64_t h = 0; h < 4; h++)
        for (int64_t d = 0; d < 3; d++)
            assert_int_equal(found[h * 3 + d], h * 6 + 2 + d);
    assert_false(view_slice(&view, 0, 0, 1)); /* a part of the batch */
    assert_false(view_slice(&view, 3, 2, 2)); /* beyond the end */
    assert_false(view_slice(&view, 3, -1, 1));
    assert_false(view_has_rows(&view, 12));
}

static void slices_every_other_channel(void **state)
{
    (void)state;
    static int64_t found[MANY];
    const struct shape heads = SHAPE(-2, -3, 4, 6);
    const struct view rows = view_rows(CHANNELS);
    struct view view, odd;
    assert_true(view_reshape(&view, &rows, &heads));
    odd = view;
    assert_true(view_slice_steps(&odd, 3, 1, 3, 2));
    enumerate(&odd, found);
    for (int64_t h = 0; h < 4; h++)
        for (int64_t d = 0; d < 3; d++)
            assert_int_equal(found[h * 3 + d], h * 6 + 1 + 2 * d);
    assert_false(view_slice_steps(&view, 3, 1, 4, 2)); /* beyond the end */
    assert_false(view_slice_steps(&view, 3, 6, 1, 2));
    assert_false(view_slice_steps(&view, 3, 5, 3, -2));
    assert_false(view_slice_steps(&view, 3, 1, INT64_MAX, 2));
    assert_true(view_slice_steps(&view, 3, 5, 1, INT64_MAX));
    assert_false(view_slice_steps(&view, 1, 0, 1, 2)); /* of the sequence */
}

static void inserts_and_removes_axes(void **state)
{
    (void)state;
    const struct view rows = view_rows(CHANNELS);
    struct view view = rows;
    view_insert(&view, 0);
    view_insert(&view, 4);
    assert_int_equal(view.rank, 5);
    assert_false(view_equal(&view, &rows));
    assert_false(view_remove(&view, 1));
    assert_true(view_remove(&view, 4));
    assert_true(view_remove(&view, 0));
    assert_true(view_equal(&view, &rows));
    assert_true(view_has_rows(&view, CHANNELS));
    assert_false(view_has_rows(&view, CHANNELS - 1));
}

static void refuses_expansions_that_are_no_constant(void **state)
{
    (void)state;
    struct view view = view_rows(CHANNELS), out;
    const struct shape by_sequence = SHAPE(-3, -2, -3, 24), wider = SHAPE(-2, -3, 48), fewer = SHAPE(-3, 24),
                       huge = SHAPE((int64_t)1 << 40, (int64_t)1 << 20, -2, -3, 24);
    assert_false(view_expand(&out, &view, &by_sequence));
    assert_false(view_expand(&out, &view, &wider));
    assert_false(view_expand(&out, &view, &fewer));
    assert_false(view_expand(&out, &view, &huge));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_row_major_order_when_reshaped),
        cmocka_unit_test(refuses_to_cut_batch_and_sequence),
        cmocka_unit_test(transposes_axes),
        cmocka_unit_test(repeats_heads_in_place),
        cmocka_unit_test(slices_channels_of_every_head),
        cmocka_unit_test(slices_every_other_channel),
        cmocka_unit_test(inserts_and_removes_axes),
        cmocka_unit_test(refuses_expansions_that_are_no_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
