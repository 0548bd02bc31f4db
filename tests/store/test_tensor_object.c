/* Tensors in the store. */
#include "tests/store/fixture.h"

#include "store/tensor_object.h"

static void bytes_and_id_are_the_documented_ones(void **state)
{
    struct fixture *f = *state;
    struct hash128 id;
    struct mapping file = {0};
    char text[STORE_ID_TEXT];
    assert_ok(store_put_tensor(&id, f->store, "f32", 1, (int64_t[]){2}, (float[]){1, -2}, &f->trace),
              &f->trace);
    store_id_to_text(id, text);
    assert_string_equal(text, "xxh3:5efbc97b84659c39f1e18cffbc303486"); /* docs/store.md */
    assert_ok(mapping_open(&file, fixture_object_path(f, "objects", id), &f->trace), &f->trace);
    assert_int_equal(file.size, 136);
    assert_memory_equal(file.data, "espalier-object 1 tensor 72     ", 32);
    assert_memory_equal(file.data + 64, "f32 2    ", 9);
    assert_memory_equal(file.data + 128, "\0\0\x80\x3f\0\0\0\xc0", 8);
    mapping_release(&file);
}

static void elements_come_back_aligned(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 70000 };
    int32_t *values = malloc(COUNT * sizeof *values);
    for (int32_t i = 0; i < COUNT; i++)
        values[i] = i * 7919;
    struct tensor_writer w;
    struct tensor_object tensor;
    struct hash128 id, whole;
    assert_ok(tensor_writer_open(&w, f->store, "i32", 2, (int64_t[]){700, 100}, &f->trace), &f->trace);
    for (int i = 0; i < 700; i++)
        assert_ok(tensor_writer_add(&w, values + i * 100, 400, &f->trace), &f->trace);
    assert_ok(tensor_writer_commit(&id, &w, &f->trace), &f->trace);
    assert_ok(store_put_tensor(&whole, f->store, "i32", 2, (int64_t[]){700, 100}, values, &f->trace),
              &f->trace);
    assert_true(hash128_equal(id, whole));
    assert_ok(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), &f->trace);
    assert_string_equal(tensor.form.dtype, "i32");
    assert_int_equal(tensor.form.rank, 2);
    assert_int_equal(tensor.form.dims[0], 700);
    assert_int_equal(tensor.form.dims[1], 100);
    assert_int_equal((uintptr_t)tensor.data % 64, 0);
    assert_false(tensor.is_external);
    tensor_object_drop(&tensor);
    assert_memory_equal(tensor.data, values, COUNT * sizeof *values);
    tensor_object_release(&tensor);
    tensor_object_release(&tensor);
    free(values);
}

static void shape_and_dtype_are_part_of_the_id(void **state)
{
    struct fixture *f = *state;
    struct hash128 a, b, c;
    static const float values[6];
    assert_ok(store_put_tensor(&a, f->store, "f32", 2, (int64_t[]){2, 3}, values, &f->trace), &f->trace);
    assert_ok(store_put_tensor(&b, f->store, "f32", 2, (int64_t[]){3, 2}, values, &f->trace), &f->trace);
    assert_ok(store_put_tensor(&c, f->store, "i32", 2, (int64_t[]){2, 3}, values, &f->trace), &f->trace);
    assert_false(hash128_equal(a, b) || hash128_equal(a, c) || hash128_equal(b, c));
}

static void scalars_and_empty_tensors_are_tensors(void **state)
{
    struct fixture *f = *state;
    struct hash128 id;
    struct tensor_object tensor;
    assert_ok(store_put_tensor(&id, f->store, "f64", 0, NULL, (double[]){2.5}, &f->trace), &f->trace);
    assert_ok(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), &f->trace);
    assert_true(*(const double *)(const void *)tensor.data == 2.5);
    tensor_object_release(&tensor);
    assert_ok(store_put_tensor(&id, f->store, "f32", 2, (int64_t[]){4, 0}, NULL, &f->trace), &f->trace);
    assert_ok(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), &f->trace);
    assert_int_equal(tensor.form.bytes, 0);
    tensor_object_release(&tensor);
}

static void length_must_be_that_of_the_shape(void **state)
{
    struct fixture *f = *state;
    struct tensor_writer w;
    struct hash128 id;
    assert_ok(tensor_writer_open(&w, f->store, "f32", 1, (int64_t[]){2}, &f->trace), &f->trace);
    assert_fails(tensor_writer_add(&w, (float[]){1, 2, 3}, 12, &f->trace), INVALID, &f->trace, "announced");
    assert_ok(tensor_writer_add(&w, (float[]){1}, 4, &f->trace), &f->trace);
    assert_fails(tensor_writer_commit(&id, &w, &f->trace), INVALID, &f->trace, "announced");
    assert_fails(tensor_writer_open(&w, f->store, "f32", 1, (int64_t[]){INT64_MAX}, &f->trace), INVALID,
                 &f->trace, "2^63");
    tensor_writer_release(&w);
}

/* An object that hashes right but whose payload lies about its size. */
static void a_payload_that_is_no_tensor_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct tensor_object tensor;
    char payload[TENSOR_HEADER + 4];
    memset(payload, ' ', sizeof payload);
    payload[TENSOR_HEADER - 1] = '\n';
    static const char *const headers[] = {"f32 1000", "f32 4611686018427387904", "f32 0", "", "f32 2"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct hash128 id;
        memset(payload, ' ', TENSOR_HEADER - 1);
        memcpy(payload, headers[i], strlen(headers[i]));
        assert_ok(store_put(&id, NULL, f->store, "tensor", payload, sizeof payload, &f->trace), &f->trace);
        assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), CORRUPT, &f->trace,
                     "is damaged");
    }
    struct hash128 id = fixture_put(f, "tensor", "short");
    assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_TRUST, &f->trace), CORRUPT, &f->trace,
                 "is damaged");
    id = fixture_put(f, "text", "text");
    assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_TRUST, &f->trace), INVALID, &f->trace,
                 "expected tensor");
    assert_fails(tensor_object_open(&tensor, f->store, key_of("no"), OBJECT_TRUST, &f->trace), NOT_FOUND,
                 &f->trace, "no object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(bytes_and_id_are_the_documented_ones), STORE_TEST(elements_come_back_aligned),
        STORE_TEST(shape_and_dtype_are_part_of_the_id),   STORE_TEST(scalars_and_empty_tensors_are_tensors),
        STORE_TEST(length_must_be_that_of_the_shape),     STORE_TEST(a_payload_that_is_no_tensor_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
