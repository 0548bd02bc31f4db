/* Tensors that stay in a file of the user's. */
#include "tests/store/fixture.h"

#include "store/external.h"

static const int64_t shape[] = {2, 3};
static const float values[] = {1, 2, 3, 4, 5, 6};

/* A file with the tensor at offset 8, old enough to be trusted. */
static char *make_file(struct fixture *f, const char *name, long age)
{
    char *path = fixture_path(f, name);
    FILE *file = fopen(path, "wb");
    fwrite("12345678", 1, 8, file);
    fwrite(values, 1, sizeof values, file);
    fputs("tail", file);
    assert_int_equal(fclose(file), 0);
    make_old(path, age);
    return path;
}

static struct hash128 put(struct fixture *f, const char *path)
{
    struct hash128 id;
    assert_ok(store_put_external(&id, f->store, path, 8, "f32", 2, shape, &f->trace), &f->trace);
    return id;
}

static void assert_readable(struct fixture *f, struct hash128 id, enum object_check check)
{
    struct tensor_object tensor;
    assert_ok(tensor_object_open(&tensor, f->store, id, check, &f->trace), &f->trace);
    assert_memory_equal(tensor.data, values, sizeof values);
    tensor_object_release(&tensor);
}

static void has_the_id_of_the_object_and_is_not_copied(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = put(f, make_file(f, "model", 100)), inside;
    struct tensor_object tensor;
    assert_int_equal(count_files(f, "objects"), 0);
    assert_true(store_has_object(f->store, id));
    assert_ok(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), &f->trace);
    assert_true(tensor.is_external);
    assert_int_equal(tensor.offset, 8);
    assert_string_equal(tensor.form.dtype, "f32");
    assert_int_equal(tensor.form.dims[1], 3);
    tensor_object_release(&tensor);
    assert_readable(f, id, OBJECT_TRUST);
    assert_ok(store_put_tensor(&inside, f->store, "f32", 2, shape, values, &f->trace), &f->trace);
    assert_true(hash128_equal(id, inside));
    assert_ok(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), &f->trace);
    assert_false(tensor.is_external);
    tensor_object_release(&tensor);
}

static void touched_file_is_accepted_and_changed_file_is_corrupt(void **state)
{
    struct fixture *f = *state;
    char *path = make_file(f, "model", 100);
    struct hash128 id = put(f, path);
    struct tensor_object tensor;
    make_old(path, 50);
    assert_readable(f, id, OBJECT_TRUST);
    flip_byte(path, 20);
    make_old(path, 40);
    assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_TRUST, &f->trace), CORRUPT, &f->trace,
                 "which has changed since");
    flip_byte(path, 20);
    assert_readable(f, id, OBJECT_TRUST);
    /* Bytes outside of the tensor do not matter. */
    flip_byte(path, 0);
    assert_readable(f, id, OBJECT_TRUST);
}

static void a_change_with_the_same_mtime_is_found_by_verifying(void **state)
{
    struct fixture *f = *state;
    char *path = make_file(f, "model", 100);
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    struct hash128 id = put(f, path);
    struct tensor_object tensor;
    flip_byte(path, 20);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){before.st_mtim, before.st_mtim}, 0), 0);
    assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), CORRUPT, &f->trace,
                 "changed");
}

/* A change within the clock's granularity leaves size and mtime as they were. */
static void a_young_file_is_not_trusted(void **state)
{
    struct fixture *f = *state;
    char *path = make_file(f, "model", 0);
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    struct hash128 id = put(f, path);
    struct tensor_object tensor;
    flip_byte(path, 20);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){before.st_mtim, before.st_mtim}, 0), 0);
    assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_TRUST, &f->trace), CORRUPT, &f->trace,
                 "changed");
}

static void a_cut_file_is_corrupt_and_a_gone_file_is_not_found(void **state)
{
    struct fixture *f = *state;
    char *path = make_file(f, "model", 100);
    struct hash128 id = put(f, path);
    struct tensor_object tensor;
    assert_int_equal(truncate(path, 20), 0);
    assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_TRUST, &f->trace), CORRUPT, &f->trace,
                 "only 20 bytes");
    assert_int_equal(unlink(path), 0);
    assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_TRUST, &f->trace), NOT_FOUND, &f->trace,
                 "model");
}

static void beyond_the_end_is_refused(void **state)
{
    struct fixture *f = *state;
    char *path = make_file(f, "model", 100);
    struct hash128 id;
    static const uint64_t offsets[] = {16, 36, 1000, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        assert_fails(store_put_external(&id, f->store, path, offsets[i], "f32", 2, shape, &f->trace), INVALID,
                     &f->trace, "reaches beyond the end");
    assert_fails(
        store_put_external(&id, f->store, path, 8, "f32", 2, (int64_t[]){1 << 30, 1 << 30}, &f->trace),
        INVALID, &f->trace, "reaches beyond the end");
}

static void an_unaligned_tensor_is_copied(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "model");
    FILE *file = fopen(path, "wb");
    fputs("123", file);
    fwrite(values, 1, sizeof values, file);
    fclose(file);
    struct hash128 id;
    assert_ok(store_put_external(&id, f->store, path, 3, "f32", 2, shape, &f->trace), &f->trace);
    assert_int_equal(count_files(f, "objects"), 1);
    assert_int_equal(count_files(f, "external"), 0);
    assert_int_equal(unlink(path), 0);
    assert_readable(f, id, OBJECT_VERIFY);
}

static void store_and_file_can_be_moved_together(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(fixture_path(f, "project"), 0777), 0);
    struct store *store;
    struct hash128 id;
    struct tensor_object tensor;
    assert_ok(store_open(&store, fixture_path(f, "project/.espalier"), STORE_CREATE, &f->trace), &f->trace);
    char *path = make_file(f, "project/model", 100);
    assert_ok(store_put_external(&id, store, path, 8, "f32", 2, shape, &f->trace), &f->trace);
    store_close(store);
    assert_int_equal(rename(fixture_path(f, "project"), fixture_path(f, "moved")), 0);
    assert_ok(store_open(&store, fixture_path(f, "moved/.espalier"), STORE_EXISTING, &f->trace), &f->trace);
    assert_ok(tensor_object_open(&tensor, store, id, OBJECT_TRUST, &f->trace), &f->trace);
    assert_memory_equal(tensor.data, values, sizeof values);
    tensor_object_release(&tensor);
    store_close(store);
}

static void a_damaged_locator_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = put(f, make_file(f, "model", 100));
    char *locator = fixture_object_path(f, "external", id);
    struct tensor_object tensor;
    struct stat st;
    assert_int_equal(stat(locator, &st), 0);
    for (long at = 0; at < st.st_size; at++) {
        flip_byte(locator, at);
        assert_fails(tensor_object_open(&tensor, f->store, id, OBJECT_TRUST, &f->trace), CORRUPT, &f->trace,
                     "damaged");
        flip_byte(locator, at);
    }
    assert_readable(f, id, OBJECT_TRUST);
}

static void an_empty_tensor_may_be_external(void **state)
{
    struct fixture *f = *state;
    struct hash128 id;
    struct tensor_object tensor;
    assert_ok(
        store_put_external(&id, f->store, make_file(f, "model", 9), 36, "f32", 1, (int64_t[]){0}, &f->trace),
        &f->trace);
    assert_ok(tensor_object_open(&tensor, f->store, id, OBJECT_VERIFY, &f->trace), &f->trace);
    assert_int_equal(tensor.form.bytes, 0);
    tensor_object_release(&tensor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(has_the_id_of_the_object_and_is_not_copied),
        STORE_TEST(touched_file_is_accepted_and_changed_file_is_corrupt),
        STORE_TEST(a_change_with_the_same_mtime_is_found_by_verifying),
        STORE_TEST(a_young_file_is_not_trusted),
        STORE_TEST(a_cut_file_is_corrupt_and_a_gone_file_is_not_found),
        STORE_TEST(beyond_the_end_is_refused),
        STORE_TEST(an_unaligned_tensor_is_copied),
        STORE_TEST(store_and_file_can_be_moved_together),
        STORE_TEST(a_damaged_locator_is_corrupt),
        STORE_TEST(an_empty_tensor_may_be_external),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
