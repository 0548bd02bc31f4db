/* Objects: the documented bytes, one file for equal bytes, damage by name. */
#include "tests/store/fixture.h"

#include <sys/resource.h>

static void bytes_and_id_are_the_documented_ones(void **state)
{
    struct fixture *f = *state;
    struct hash128 id;
    struct mapping file = {0};
    char text[STORE_ID_TEXT], sha256[SHA256_HEX];
    assert_ok(store_put(&id, sha256, f->store, "text", "hello\n", 6, &f->trace), &f->trace);
    store_id_to_text(id, text);
    /* docs/store.md; made with xxHash's and coreutils' own programs. */
    assert_string_equal(text, "xxh3:20c7455408b040e09cf0fe4dc11b54a7");
    assert_string_equal(sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    assert_ok(
        mapping_open(&file, fixture_path(f, "store/objects/20/c7455408b040e09cf0fe4dc11b54a7"), &f->trace),
        &f->trace);
    static const char expected[] = "espalier-object 1 text 6                                       \nhello\n";
    assert_int_equal(sizeof expected - 1, 70);
    assert_int_equal(file.size, 70);
    assert_memory_equal(file.data, expected, 70);
    mapping_release(&file);
}

static void headers_have_one_spelling(void **state)
{
    (void)state;
    char header[OBJECT_HEADER], kind[OBJECT_KIND];
    uint64_t length;
    object_header_write(header, "abcdefghijklmno", UINT64_MAX);
    assert_true(object_header_read((uint8_t *)header, kind, &length));
    assert_string_equal(kind, "abcdefghijklmno");
    assert_true(length == UINT64_MAX);
    static const char *const wrong[] = {"espalier-object 1 text 06",
                                        "espalier-object 1 text",
                                        "espalier-object 1 text ",
                                        "espalier-object 2 text 6",
                                        "espalier-object 1  6",
                                        "espalier-object 1 Text 6",
                                        "espalier-object 1 text 6 x",
                                        "espalier-object 1 abcdefghijklmnop 6",
                                        "espalier-object 1 text 18446744073709551616",
                                        ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memset(header, ' ', sizeof header);
        memcpy(header, wrong[i], strlen(wrong[i]));
        header[OBJECT_HEADER - 1] = '\n';
        assert_false(object_header_read((uint8_t *)header, kind, &length));
    }
    object_header_write(header, "text", 6);
    header[OBJECT_HEADER - 1] = ' ';
    assert_false(object_header_read((uint8_t *)header, kind, &length));
    memset(header, 'x', sizeof header);
    memcpy(header, "espalier-object 1 ", 18);
    assert_false(object_header_read((uint8_t *)header, kind, &length));
}

static void kinds_are_short_words(void **state)
{
    (void)state;
    assert_true(object_kind_is_valid("a-z") && object_kind_is_valid("abcdefghijklmno"));
    assert_false(object_kind_is_valid("") || object_kind_is_valid("abcdefghijklmnop"));
    assert_false(object_kind_is_valid("a b") || object_kind_is_valid("A") || object_kind_is_valid("a1"));
}

static void every_way_of_writing_gives_the_same_id(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 300000 };
    char *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * i >> 3);
    struct hash128 whole, pieces, spooled, file;
    char sha[4][SHA256_HEX];
    assert_ok(store_put(&whole, sha[0], f->store, "scores", bytes, SIZE, &f->trace), &f->trace);
    struct object_writer w;
    for (int known = 0; known < 2; known++) {
        assert_ok(object_writer_open(&w, f->store, "scores", known ? SIZE : OBJECT_LENGTH_UNKNOWN,
                                     OBJECT_SHA256_TOO, &f->trace),
                  &f->trace);
        for (size_t at = 0, step = 1; at < SIZE; at += step, step = step * 2 + 1) {
            if (step > SIZE - at)
                step = SIZE - at;
            assert_ok(object_writer_add(&w, bytes + at, step, &f->trace), &f->trace);
        }
        assert_ok(object_writer_commit(known ? &pieces : &spooled, sha[1 + known], &w, &f->trace), &f->trace);
    }
    FILE *stream = fopen(fixture_path(f, "bytes"), "wb");
    assert_int_equal(fwrite(bytes, 1, SIZE, stream), SIZE);
    fclose(stream);
    assert_ok(store_put_file(&file, sha[3], f->store, "scores", fixture_path(f, "bytes"), &f->trace),
              &f->trace);
    assert_true(hash128_equal(whole, pieces) && hash128_equal(whole, spooled) && hash128_equal(whole, file));
    for (int i = 1; i < 4; i++)
        assert_string_equal(sha[i], sha[0]);
    assert_int_equal(count_files(f, "objects"), 1);
    assert_int_equal(count_files(f, "tmp"), 0);
    free(bytes);
}

static void reads_back_what_was_written(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = fixture_put(f, "report", "how it went");
    struct store_object object;
    assert_true(store_has_object(f->store, id));
    assert_ok(store_open_object(&object, f->store, id, "report", OBJECT_VERIFY, &f->trace), &f->trace);
    assert_string_equal(object.kind, "report");
    assert_true(str_is(store_object_text(&object), "how it went"));
    assert_int_equal((uintptr_t)object.data % 64, 0);
    char sha256[SHA256_HEX];
    store_object_sha256(sha256, &object);
    assert_string_equal(sha256, "f2962f303e21589df6b1fdebe812aa69778700cb33fe76c474ba1ca44e382698");
    store_object_release(&object);
}

static void empty_payloads_are_objects(void **state)
{
    struct fixture *f = *state;
    struct store_object object;
    struct hash128 id, spooled;
    struct object_writer w;
    assert_ok(store_put(&id, NULL, f->store, "text", NULL, 0, &f->trace), &f->trace);
    assert_ok(object_writer_open(&w, f->store, "text", OBJECT_LENGTH_UNKNOWN, OBJECT_XXH3, &f->trace),
              &f->trace);
    assert_ok(object_writer_commit(&spooled, NULL, &w, &f->trace), &f->trace);
    assert_true(hash128_equal(id, spooled));
    assert_ok(store_open_object(&object, f->store, id, "text", OBJECT_VERIFY, &f->trace), &f->trace);
    assert_int_equal(object.size, 0);
    store_object_release(&object);
}

static void kind_is_part_of_the_id_and_is_checked(void **state)
{
    struct fixture *f = *state;
    struct hash128 text = fixture_put(f, "text", "same"), names = fixture_put(f, "names", "same");
    struct store_object object;
    assert_false(hash128_equal(text, names));
    assert_fails(store_open_object(&object, f->store, text, "names", OBJECT_TRUST, &f->trace), INVALID,
                 &f->trace, "is of kind text; expected names");
    struct hash128 id;
    assert_fails(store_put(&id, NULL, f->store, "Text", "x", 1, &f->trace), INVALID, &f->trace,
                 "no kind of object");
}

static void announced_length_is_held_to(void **state)
{
    struct fixture *f = *state;
    struct object_writer w;
    struct hash128 id;
    assert_ok(object_writer_open(&w, f->store, "text", 4, OBJECT_XXH3, &f->trace), &f->trace);
    assert_ok(object_writer_add(&w, "abc", 3, &f->trace), &f->trace);
    assert_fails(object_writer_add(&w, "de", 2, &f->trace), INVALID, &f->trace, "4 bytes were announced");
    assert_fails(object_writer_commit(&id, NULL, &w, &f->trace), INVALID, &f->trace, "3 were written");
    object_writer_release(&w);
    assert_int_equal(count_files(f, "objects"), 0);
    assert_int_equal(count_files(f, "tmp"), 0);
}

static void absent_object_is_named(void **state)
{
    struct fixture *f = *state;
    struct store_object object;
    assert_fails(store_open_object(&object, f->store, (struct hash128){1, 2}, NULL, OBJECT_TRUST, &f->trace),
                 NOT_FOUND, &f->trace, "no object xxh3:00000000000000010000000000000002");
    assert_false(store_has_object(f->store, (struct hash128){1, 2}));
}

static void damage_is_corrupt_and_named(void **state)
{
    struct fixture *f = *state;
    struct store_object object;
    struct hash128 id = fixture_put(f, "text", "precious");
    char *path = fixture_object_path(f, "objects", id), name[STORE_ID_TEXT];
    store_id_to_text(id, name);
    flip_byte(path, 66);
    assert_ok(store_open_object(&object, f->store, id, NULL, OBJECT_TRUST, &f->trace), &f->trace);
    store_object_release(&object);
    assert_fails(store_open_object(&object, f->store, id, NULL, OBJECT_VERIFY, &f->trace), CORRUPT, &f->trace,
                 name);
    flip_byte(path, 66);
    for (long at = 0; at < OBJECT_HEADER; at++) {
        flip_byte(path, at);
        assert_fails(store_open_object(&object, f->store, id, NULL, OBJECT_VERIFY, &f->trace), CORRUPT,
                     &f->trace, name);
        flip_byte(path, at);
    }
    assert_ok(store_open_object(&object, f->store, id, NULL, OBJECT_VERIFY, &f->trace), &f->trace);
    store_object_release(&object);
}

static void every_truncation_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct store_object object;
    struct hash128 id = fixture_put(f, "text", "precious");
    char *path = fixture_object_path(f, "objects", id);
    for (long size = OBJECT_HEADER + 7; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        assert_fails(store_open_object(&object, f->store, id, NULL, OBJECT_TRUST, &f->trace), CORRUPT,
                     &f->trace, "is damaged");
    }
}

static void a_swapped_object_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct store_object object;
    struct hash128 a = fixture_put(f, "text", "aaaa"), b = fixture_put(f, "text", "bbbb");
    assert_int_equal(rename(fixture_object_path(f, "objects", a), fixture_object_path(f, "objects", b)), 0);
    assert_fails(store_open_object(&object, f->store, b, NULL, OBJECT_VERIFY, &f->trace), CORRUPT, &f->trace,
                 "hash to");
}

static void a_damaged_object_is_not_written_over(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = fixture_put(f, "text", "precious");
    char *path = fixture_object_path(f, "objects", id);
    assert_int_equal(truncate(path, 66), 0);
    assert_fails(store_put(&id, NULL, f->store, "text", "precious", 8, &f->trace), CORRUPT, &f->trace,
                 "is damaged");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 66);
    assert_int_equal(count_files(f, "tmp"), 0);
}

static void a_writer_that_is_dropped_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct object_writer w;
    assert_ok(object_writer_open(&w, f->store, "text", 1 << 20, OBJECT_XXH3, &f->trace), &f->trace);
    assert_ok(object_writer_add(&w, "some", 4, &f->trace), &f->trace);
    assert_int_equal(count_files(f, "tmp"), 1);
    object_writer_release(&w);
    object_writer_release(&w);
    assert_int_equal(count_files(f, "tmp"), 0);
    assert_int_equal(count_files(f, "objects"), 0);
}

/* The limit on file sizes stands for a full disk: write() fails in the midst of an object. */
static void a_full_disk_is_io_and_leaves_the_store_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct hash128 before = fixture_put(f, "text", "before");
    pid_t child = fork();
    if (child == 0) {
        struct trace trace = {0};
        struct hash128 id;
        enum { SIZE = 1 << 20 };
        char *bytes = calloc(1, SIZE);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){200000, 200000});
        enum status s = store_put(&id, NULL, f->store, "tensor", bytes, SIZE, &trace);
        _exit(s == IO && strstr(trace.text, "while writing an object of kind tensor") ? 0 : 1);
    }
    int status = wait_child(child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct store_object object;
    assert_ok(store_open_object(&object, f->store, before, "text", OBJECT_VERIFY, &f->trace), &f->trace);
    store_object_release(&object);
    assert_int_equal(count_files(f, "objects"), 1);
    assert_int_equal(count_files(f, "tmp"), 0);
}

static void opening_many_objects_keeps_no_descriptor(void **state)
{
    struct fixture *f = *state;
    struct hash128 id = fixture_put(f, "text", "x");
    struct store_object objects[64];
    int before = dup(0);
    close(before);
    for (int i = 0; i < 64; i++)
        assert_ok(store_open_object(&objects[i], f->store, id, NULL, OBJECT_TRUST, &f->trace), &f->trace);
    int after = dup(0);
    close(after);
    for (int i = 0; i < 64; i++)
        store_object_release(&objects[i]);
    assert_int_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(bytes_and_id_are_the_documented_ones),
        cmocka_unit_test(headers_have_one_spelling),
        cmocka_unit_test(kinds_are_short_words),
        STORE_TEST(every_way_of_writing_gives_the_same_id),
        STORE_TEST(reads_back_what_was_written),
        STORE_TEST(empty_payloads_are_objects),
        STORE_TEST(kind_is_part_of_the_id_and_is_checked),
        STORE_TEST(announced_length_is_held_to),
        STORE_TEST(absent_object_is_named),
        STORE_TEST(damage_is_corrupt_and_named),
        STORE_TEST(every_truncation_is_corrupt),
        STORE_TEST(a_swapped_object_is_corrupt),
        STORE_TEST(a_damaged_object_is_not_written_over),
        STORE_TEST(a_writer_that_is_dropped_leaves_nothing),
        STORE_TEST(a_full_disk_is_io_and_leaves_the_store_as_it_was),
        STORE_TEST(opening_many_objects_keeps_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
