/* Hashes of input files, and when they are computed again. */
#include "tests/store/fixture.h"

#include "store/input.h"

static struct store_input hash(struct fixture *f, const char *path)
{
    struct store_input input;
    assert_ok(store_input_hash(&input, f->store, path, INPUT_REMEMBERED, &f->trace), &f->trace);
    return input;
}

static void hashes_are_those_of_the_bytes(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "input");
    write_text(path, "hello\n");
    struct store_input input = hash(f, path);
    assert_string_equal(input.sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    assert_true(hash128_equal(input.xxh3, hash128_of("hello\n", 6)));
    assert_int_equal(input.size, 6);
    write_text(path, "");
    assert_string_equal(hash(f, path).sha256,
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void large_files_are_read_whole(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = (3 << 20) + 17 };
    char *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 31 >> 4);
    FILE *file = fopen(fixture_path(f, "large"), "wb");
    assert_int_equal(fwrite(bytes, 1, SIZE, file), SIZE);
    fclose(file);
    assert_true(hash128_equal(hash(f, fixture_path(f, "large")).xxh3, hash128_of(bytes, SIZE)));
    free(bytes);
}

/* A change that keeps size, mtime and inode shows that the second answer is the remembered one. */
static void is_remembered_while_size_mtime_and_inode_stay(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "input");
    write_text(path, "one");
    make_old(path, 100);
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    struct store_input first = hash(f, path);
    assert_int_equal(count_files(f, "inputs"), 1);
    flip_byte(path, 0);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){before.st_mtim, before.st_mtim}, 0), 0);
    assert_string_equal(hash(f, path).sha256, first.sha256);
    struct store_input again;
    assert_fails(store_input_hash(&again, f->store, path, INPUT_AGAIN, &f->trace), CORRUPT, &f->trace,
                 "other bytes than before");
    make_old(path, 50);
    assert_string_not_equal(hash(f, path).sha256, first.sha256);
}

static void another_file_in_its_place_is_read(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "input"), *other = fixture_path(f, "other");
    write_text(path, "one");
    write_text(other, "two");
    make_old(path, 100);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(utimensat(AT_FDCWD, other, (struct timespec[]){st.st_mtim, st.st_mtim}, 0), 0);
    struct store_input first = hash(f, path);
    assert_int_equal(rename(other, path), 0);
    assert_string_not_equal(hash(f, path).sha256, first.sha256);
}

static void a_young_file_is_not_remembered(void **state)
{
    struct fixture *f = *state;
    write_text(fixture_path(f, "input"), "one");
    hash(f, fixture_path(f, "input"));
    assert_int_equal(count_files(f, "inputs"), 0);
}

static void a_damaged_entry_is_computed_again(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "input");
    write_text(path, "one");
    make_old(path, 100);
    struct store_input first = hash(f, path);
    char *command = arena_printf(&f->arena, "for i in '%s'/inputs/*; do sed -i s/sha256/sha257/ $i; done",
                                 store_path(f->store));
    assert_int_equal(system(command), 0);
    assert_string_equal(hash(f, path).sha256, first.sha256);
}

static void links_lead_to_the_same_entry(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "input"), *link_path = fixture_path(f, "link");
    write_text(path, "one");
    make_old(path, 100);
    assert_int_equal(symlink(path, link_path), 0);
    assert_string_equal(hash(f, path).sha256, hash(f, link_path).sha256);
    assert_int_equal(count_files(f, "inputs"), 1);
}

static void what_is_no_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_input input;
    assert_fails(store_input_hash(&input, f->store, fixture_path(f, "none"), INPUT_REMEMBERED, &f->trace),
                 NOT_FOUND, &f->trace, "while hashing the input");
    assert_fails(store_input_hash(&input, f->store, f->directory, INPUT_REMEMBERED, &f->trace), INVALID,
                 &f->trace, "not a regular file");
    assert_int_equal(mkfifo(fixture_path(f, "pipe"), 0666), 0);
    assert_fails(store_input_hash(&input, f->store, fixture_path(f, "pipe"), INPUT_REMEMBERED, &f->trace),
                 INVALID, &f->trace, "not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(hashes_are_those_of_the_bytes),
        STORE_TEST(large_files_are_read_whole),
        STORE_TEST(is_remembered_while_size_mtime_and_inode_stay),
        STORE_TEST(another_file_in_its_place_is_read),
        STORE_TEST(a_young_file_is_not_remembered),
        STORE_TEST(a_damaged_entry_is_computed_again),
        STORE_TEST(links_lead_to_the_same_entry),
        STORE_TEST(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
