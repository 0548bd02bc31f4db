/* Views of mapped weights: slices, transposes and their compositions read what plain index arithmetic says.
 */
#include "ir/tensor.h"
#include "tests/support/test.h"

static struct tensor_view view_of(const float *data, int64_t rows, int64_t columns)
{
    struct tensor_view view;
    int64_t dims[2] = {rows, columns};
    struct trace trace = {0};
    assert_ok(tensor_view_dense(&view, NULL, (const uint8_t *)data, (size_t)(rows * columns) * 4, DTYPE_F32,
                                2, dims, &trace),
              &trace);
    return view;
}

static void reads_slices_of_transposes_of_slices(void **state)
{
    (void)state;
    enum { R = 7, C = 11 };
    float data[R * C], out[R * C];
    for (int i = 0; i < R * C; i++)
        data[i] = (float)i;
    struct arena arena = {0};
    const uint32_t rows[3] = {5, 0, 6}, columns[4] = {10, 2, 3, 7}, again[2] = {3, 0};
    struct tensor_view view = view_of(data, R, C);
    assert_true(tensor_view_is_dense(&view));
    struct tensor_view v = tensor_view_take(&view, &arena, 0, rows, 3);
    v = tensor_view_transpose(&v);                   /* [C, 3] */
    v = tensor_view_take(&v, &arena, 0, columns, 4); /* [4, 3] */
    v = tensor_view_take(&v, &arena, 0, again, 2);   /* [2, 3] */
    assert_false(tensor_view_is_dense(&v));
    assert_int_equal(tensor_view_count(&v), 6);
    tensor_view_read_f32(&v, 0, 6, out);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            assert_true(out[i * 3 + j] == data[rows[j] * C + columns[again[i]]]);
    tensor_view_read_f32(&v, 2, 3, out); /* across a row boundary */
    assert_true(out[0] == data[rows[2] * C + columns[again[0]]] &&
                out[1] == data[rows[0] * C + columns[again[1]]]);
    arena_release(&arena);
}

static void widens_half_and_bfloat_exactly(void **state)
{
    (void)state;
    const uint16_t half[5] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555}, brain[3] = {0x3f80, 0xc2f7, 0x0000};
    const float expected_half[5] = {1.0f, -2.0f, 0x1p-24f, 65504.0f, 0x1.554p-2f};
    const float expected_brain[3] = {1.0f, -123.5f, 0.0f};
    struct tensor_view view;
    int64_t dims[1] = {5};
    float out[5];
    struct trace trace = {0};
    assert_ok(tensor_view_dense(&view, NULL, (const uint8_t *)half, sizeof half, DTYPE_F16, 1, dims, &trace),
              &trace);
    tensor_view_read_f32(&view, 0, 5, out);
    assert_memory_equal(out, expected_half, sizeof expected_half);
    dims[0] = 3;
    assert_ok(
        tensor_view_dense(&view, NULL, (const uint8_t *)brain, sizeof brain, DTYPE_BF16, 1, dims, &trace),
        &trace);
    tensor_view_read_f32(&view, 0, 3, out);
    assert_memory_equal(out, expected_brain, sizeof expected_brain);
}

static void refuses_sizes_that_overflow_or_do_not_fit(void **state)
{
    (void)state;
    struct tensor_view view;
    struct trace trace = {0};
    uint8_t byte = 0;
    int64_t huge[3] = {INT64_MAX, INT64_MAX, 4}, negative[1] = {-1}, two[1] = {2};
    assert_fails(tensor_view_dense(&view, NULL, &byte, 1, DTYPE_F32, 3, huge, &trace), INVALID, &trace,
                 "axis");
    assert_fails(tensor_view_dense(&view, NULL, &byte, 1, DTYPE_F32, 1, negative, &trace), INVALID, &trace,
                 "size -1");
    assert_fails(tensor_view_dense(&view, NULL, &byte, 1, DTYPE_F32, 1, two, &trace), INVALID, &trace,
                 "needs 8 bytes, 1 are there");
    assert_fails(tensor_view_dense(&view, NULL, &byte, 1, DTYPE_F32, 5, huge, &trace), UNSUPPORTED, &trace,
                 "5 axes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_slices_of_transposes_of_slices),
        cmocka_unit_test(widens_half_and_bfloat_exactly),
        cmocka_unit_test(refuses_sizes_that_overflow_or_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
