/* Mapping, containment against hostile paths, and files that appear whole or not at all. */
#include "base/file.h"
#include "tests/support/test.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct place {
    char *directory;
    struct trace trace;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place->directory = test_directory_create();
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    test_directory_remove(place->directory);
    free(place);
    return 0;
}

/* A path in the test's directory; four at a time. */
static const char *in(const struct place *place, const char *name)
{
    static char paths[4][5000];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", place->directory, name);
    return paths[next];
}

static void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make_link(const char *target, const char *path)
{
    assert_int_equal(symlink(target, path), 0);
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static void assert_file_is(const char *path, const char *text)
{
    struct builder found = {0};
    struct trace trace = {0};
    assert_ok(file_read(&found, path, 1 << 20, &trace), &trace);
    assert_string_equal(builder_text(&found), text);
    builder_release(&found);
}

static void maps_a_file(void **state)
{
    struct place *p = *state;
    struct mapping mapping = {0};
    make_file(in(p, "a"), "hello");
    assert_ok(mapping_open(&mapping, in(p, "a"), &p->trace), &p->trace);
    assert_int_equal(mapping.size, 5);
    assert_memory_equal(mapping.data, "hello", 5);
    assert_true(mapping.mtime_ns > INT64_C(1500000000000000000));
    assert_ok(mapping_check(&mapping, "a", &p->trace), &p->trace);
    mapping_drop(&mapping, 0, 5);
    mapping_drop(&mapping, 2, SIZE_MAX);
    mapping_drop(&mapping, 100, 5);
    assert_memory_equal(mapping.data, "hello", 5);
    mapping_release(&mapping);
    mapping_release(&mapping);
}

static void maps_an_empty_file(void **state)
{
    struct place *p = *state;
    struct mapping mapping = {0};
    make_file(in(p, "a"), "");
    assert_ok(mapping_open(&mapping, in(p, "a"), &p->trace), &p->trace);
    assert_int_equal(mapping.size, 0);
    assert_null(mapping.data);
    mapping_drop(&mapping, 0, 0);
    mapping_release(&mapping);
}

static void releases_a_zeroed_mapping(void **state)
{
    (void)state;
    struct mapping mapping = {0};
    mapping_release(&mapping); /* must not close descriptor 0 */
    assert_int_not_equal(fcntl(0, F_GETFD), -1);
}

static void maps_regular_files_only(void **state)
{
    struct place *p = *state;
    struct mapping mapping = {0};
    assert_int_equal(mkfifo(in(p, "fifo"), 0600), 0);
    assert_fails(mapping_open(&mapping, in(p, "fifo"), &p->trace), INVALID, &p->trace, "not a regular file");
    assert_fails(mapping_open(&mapping, p->directory, &p->trace), INVALID, &p->trace, "not a regular file");
    assert_fails(mapping_open(&mapping, "/dev/null", &p->trace), INVALID, &p->trace, "not a regular file");
    assert_fails(mapping_open(&mapping, in(p, "none"), &p->trace), NOT_FOUND, &p->trace, "No such file");
}

static void notices_a_truncated_mapping(void **state)
{
    struct place *p = *state;
    struct mapping mapping = {0};
    make_file(in(p, "a"), "hello");
    assert_ok(mapping_open(&mapping, in(p, "a"), &p->trace), &p->trace);
    assert_int_equal(truncate(in(p, "a"), 3), 0);
    assert_fails(mapping_check(&mapping, "a", &p->trace), IO, &p->trace, "cut short");
    mapping_release(&mapping);
}

/* ---- containment ---- */

static enum status open_contained(struct place *p, const char *model, const char *location, char text[16])
{
    int fd = -1;
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", p->directory, model);
    memset(text, 0, 16);
    enum status status = file_open_contained(&fd, path, str_from(location), &p->trace);
    if (status == OK) {
        assert_true(read(fd, text, 15) >= 0);
        close(fd);
    }
    return status;
}

/* model/m.onnx with weights beside it and in a folder; secret outside. */
static void make_model(struct place *p)
{
    assert_int_equal(mkdir(in(p, "model"), 0700), 0);
    assert_int_equal(mkdir(in(p, "model/sub"), 0700), 0);
    assert_int_equal(mkdir(in(p, "model-2"), 0700), 0);
    make_file(in(p, "model/m.onnx"), "model");
    make_file(in(p, "model/w.bin"), "weights");
    make_file(in(p, "model/sub/w.bin"), "deep");
    make_file(in(p, "model/..odd"), "odd");
    make_file(in(p, "model-2/secret"), "secret");
    make_file(in(p, "secret"), "secret");
}

static void opens_files_in_the_model_directory(void **state)
{
    struct place *p = *state;
    char text[16];
    make_model(p);
    make_link("w.bin", in(p, "model/inside"));
    make_link("model", in(p, "alias"));
    static const struct {
        const char *model, *location, *text;
    } cases[] = {
        {"model/m.onnx", "w.bin", "weights"},  {"model/m.onnx", "./w.bin", "weights"},
        {"model/m.onnx", "sub/w.bin", "deep"}, {"model/m.onnx", "sub//w.bin", "deep"},
        {"model/m.onnx", "..odd", "odd"},      {"model/m.onnx", "inside", "weights"},
        {"alias/m.onnx", "sub/w.bin", "deep"}, {"alias/../model/m.onnx", "w.bin", "weights"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(open_contained(p, cases[i].model, cases[i].location, text), &p->trace);
        assert_string_equal(text, cases[i].text);
    }
}

static void refuses_paths_that_leave(void **state)
{
    struct place *p = *state;
    char text[16];
    make_model(p);
    static const char *const paths[] = {"../secret", "sub/../../secret", "..",
                                        "sub/..",    "./../secret",      "sub/../w.bin"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_fails(open_contained(p, "model/m.onnx", paths[i], text), INVALID, &p->trace,
                     "\"..\" is not allowed");
    assert_fails(open_contained(p, "model/m.onnx", "/etc/passwd", text), INVALID, &p->trace,
                 "must be relative");
    assert_fails(open_contained(p, "model/m.onnx", in(p, "model/w.bin"), text), INVALID, &p->trace,
                 "relative");
    assert_fails(open_contained(p, "model/m.onnx", "", text), INVALID, &p->trace, "empty");
}

static void refuses_broken_and_overlong_locations(void **state)
{
    struct place *p = *state;
    int fd;
    make_model(p);
    assert_fails(file_open_contained(&fd, in(p, "model/m.onnx"), STR("w.bin\0x"), &p->trace), INVALID,
                 &p->trace, "broken");
    size_t length = 100000;
    char *name = malloc(length);
    memset(name, 'a', length);
    assert_fails(file_open_contained(&fd, in(p, "model/m.onnx"), (struct str){name, length}, &p->trace),
                 INVALID, &p->trace, "overlong");
    assert_fails(file_open_contained(&fd, in(p, "model/m.onnx"), (struct str){name, 4000}, &p->trace),
                 INVALID, &p->trace, "cannot open");
    free(name);
}

static void refuses_links_that_leave(void **state)
{
    struct place *p = *state;
    char text[16];
    make_model(p);
    make_link("../secret", in(p, "model/out"));
    make_link("/etc/passwd", in(p, "model/absolute"));
    make_link("..", in(p, "model/up"));
    /* A sibling whose name begins like the model's directory is outside as well. */
    make_link("../model-2/secret", in(p, "model/sibling"));
    make_link("/dev/zero", in(p, "model/device"));
    static const char *const paths[] = {"out",     "absolute", "up/secret", "up/model-2/secret",
                                        "sibling", "device"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_fails(open_contained(p, "model/m.onnx", paths[i], text), INVALID, &p->trace, "leads out");
}

static void opens_files_beside_a_linked_model(void **state)
{
    struct place *p = *state;
    char text[16];
    /* As the Hugging Face cache does: a folder of links into blobs/. */
    assert_ok(directory_create(in(p, "snapshots/rev/sub"), &p->trace), &p->trace);
    assert_ok(directory_create(in(p, "blobs/below"), &p->trace), &p->trace);
    make_file(in(p, "blobs/1111"), "model");
    make_file(in(p, "blobs/2222"), "weights");
    make_file(in(p, "blobs/below/3333"), "too deep");
    make_file(in(p, "secret"), "secret");
    make_link("../../blobs/1111", in(p, "snapshots/rev/m.onnx"));
    make_link("../../blobs/2222", in(p, "snapshots/rev/w.bin"));
    make_link("../../../blobs/2222", in(p, "snapshots/rev/sub/w.bin"));
    make_link("../../blobs/below/3333", in(p, "snapshots/rev/deep"));
    make_link("../../secret", in(p, "snapshots/rev/secret"));
    const char *model = "snapshots/rev/m.onnx";
    assert_ok(open_contained(p, model, "w.bin", text), &p->trace);
    assert_string_equal(text, "weights");
    assert_ok(open_contained(p, model, "sub/w.bin", text), &p->trace);
    assert_ok(open_contained(p, model, "2222", text), &p->trace);
    assert_string_equal(text, "weights");
    assert_fails(open_contained(p, model, "deep", text), INVALID, &p->trace, "leads out");
    assert_fails(open_contained(p, model, "secret", text), INVALID, &p->trace, "leads out");
    assert_fails(open_contained(p, model, "below/3333", text), NOT_FOUND, &p->trace, "No such file");
}

static void contained_files_are_regular(void **state)
{
    struct place *p = *state;
    char text[16];
    make_model(p);
    assert_int_equal(mkfifo(in(p, "model/fifo"), 0600), 0);
    assert_fails(open_contained(p, "model/m.onnx", "fifo", text), INVALID, &p->trace, "not a regular file");
    assert_fails(open_contained(p, "model/m.onnx", "sub", text), INVALID, &p->trace, "not a regular file");
    assert_fails(open_contained(p, "model/m.onnx", "none", text), NOT_FOUND, &p->trace, "none");
    assert_fails(open_contained(p, "gone/m.onnx", "w.bin", text), NOT_FOUND, &p->trace, "gone");
}

/* ---- reading ---- */

static void reads_up_to_the_limit(void **state)
{
    struct place *p = *state;
    struct builder text = {0};
    make_file(in(p, "a"), "0123456789");
    assert_ok(file_read(&text, in(p, "a"), 10, &p->trace), &p->trace);
    assert_string_equal(text.data, "0123456789");
    builder_clear(&text);
    assert_fails(file_read(&text, in(p, "a"), 9, &p->trace), INVALID, &p->trace, "larger than the 9 bytes");
    builder_release(&text);
    assert_fails(file_read(&text, in(p, "none"), 9, &p->trace), NOT_FOUND, &p->trace, "none");
    assert_fails(file_read(&text, p->directory, 9, &p->trace), INVALID, &p->trace, "directory");
    builder_release(&text);
}

static void reads_an_empty_file_as_text(void **state)
{
    struct place *p = *state;
    struct builder text = {0};
    make_file(in(p, "a"), "");
    assert_ok(file_read(&text, in(p, "a"), 0, &p->trace), &p->trace);
    assert_non_null(text.data);
    assert_int_equal(text.length, 0);
    builder_release(&text);
}

static void endless_input_stops_at_the_limit(void **state)
{
    struct place *p = *state;
    struct builder text = {0};
    assert_fails(file_read(&text, "/dev/zero", 1 << 20, &p->trace), INVALID, &p->trace, "larger");
    builder_release(&text);
}

/* ---- writing ---- */

static void writes_whole_files(void **state)
{
    struct place *p = *state;
    assert_ok(file_write(in(p, "a"), "first", 5, &p->trace), &p->trace);
    assert_file_is(in(p, "a"), "first");
    assert_ok(file_write(in(p, "a"), "second", 6, &p->trace), &p->trace);
    assert_file_is(in(p, "a"), "second");
    assert_ok(file_write(in(p, "a"), NULL, 0, &p->trace), &p->trace);
    assert_file_is(in(p, "a"), "");
    assert_int_equal(count_entries(p->directory), 1);
}

static void writes_pieces_of_all_sizes_in_order(void **state)
{
    struct place *p = *state;
    struct file_writer w = {0};
    static const size_t sizes[] = {1, 65535, 1, 65536, 0, 65537, 3, 200000, 7};
    struct builder expected = {0};
    char *bytes = malloc(200000);
    assert_ok(file_writer_open(&w, in(p, "a"), &p->trace), &p->trace);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(bytes, 'a' + (int)i, sizes[i]);
        builder_add(&expected, bytes, sizes[i]);
        assert_ok(file_writer_add(&w, bytes, sizes[i], &p->trace), &p->trace);
    }
    assert_int_equal(w.written, expected.length);
    assert_false(file_exists(in(p, "a")));
    assert_ok(file_writer_commit(&w, &p->trace), &p->trace);
    assert_false(w.is_open);
    assert_file_is(in(p, "a"), expected.data);
    file_writer_release(&w);
    builder_release(&expected);
    free(bytes);
}

static void an_abandoned_write_leaves_nothing(void **state)
{
    struct place *p = *state;
    struct file_writer w = {0};
    make_file(in(p, "a"), "old");
    assert_ok(file_writer_open(&w, in(p, "a"), &p->trace), &p->trace);
    assert_ok(file_writer_add(&w, "new", 3, &p->trace), &p->trace);
    assert_int_equal(count_entries(p->directory), 2);
    file_writer_release(&w);
    file_writer_release(&w);
    assert_int_equal(count_entries(p->directory), 1);
    assert_file_is(in(p, "a"), "old");
}

static void two_writers_do_not_disturb_each_other(void **state)
{
    struct place *p = *state;
    struct file_writer one = {0}, two = {0};
    assert_ok(file_writer_open(&one, in(p, "a"), &p->trace), &p->trace);
    assert_ok(file_writer_open(&two, in(p, "a"), &p->trace), &p->trace);
    assert_ok(file_writer_add(&one, "one", 3, &p->trace), &p->trace);
    assert_ok(file_writer_add(&two, "two", 3, &p->trace), &p->trace);
    assert_ok(file_writer_commit(&two, &p->trace), &p->trace);
    assert_file_is(in(p, "a"), "two");
    assert_ok(file_writer_commit(&one, &p->trace), &p->trace);
    assert_file_is(in(p, "a"), "one");
    assert_int_equal(count_entries(p->directory), 1);
}

static void a_missing_directory_is_told(void **state)
{
    struct place *p = *state;
    struct file_writer w = {0};
    assert_fails(file_writer_open(&w, in(p, "none/a"), &p->trace), NOT_FOUND, &p->trace, "none/a");
    assert_false(w.is_open);
    make_file(in(p, "file"), "");
    assert_fails(file_writer_open(&w, in(p, "file/a"), &p->trace), INVALID, &p->trace, "Not a directory");
}

static void cannot_replace_a_directory(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdir(in(p, "d"), 0700), 0);
    assert_fails(file_write(in(p, "d"), "x", 1, &p->trace), INVALID, &p->trace, "cannot write");
    assert_int_equal(count_entries(p->directory), 1);
}

/* A full disk, by a limit on the size of files. */
static void a_full_disk_is_an_error_that_sticks(void **state)
{
    struct place *p = *state;
    struct file_writer w = {0};
    struct rlimit before, small;
    char *bytes = calloc(1, 300000);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 200000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    make_file(in(p, "a"), "old");
    assert_ok(file_writer_open(&w, in(p, "a"), &p->trace), &p->trace);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status added = file_writer_add(&w, bytes, 300000, &p->trace);
    struct trace first = p->trace;
    enum status again = file_writer_add(&w, "x", 1, &p->trace);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    /* Even with room again, the hole in the middle must not become a file. */
    enum status committed = file_writer_commit(&w, &p->trace);
    assert_int_equal(added, IO);
    assert_non_null(strstr(first.text, "File too large"));
    assert_int_equal(again, IO);
    assert_int_equal(committed, IO);
    assert_non_null(strstr(p->trace.text, "File too large"));
    file_writer_release(&w);
    assert_file_is(in(p, "a"), "old");
    assert_int_equal(count_entries(p->directory), 1);
    free(bytes);
}

/* As root, a rename over /dev/null would remove the device. */
/* CVE-2025-51480, GHSA-q56x-g2fj-4rj6: a link in the way of an output was followed. */
static void replaces_a_link_and_not_what_it_leads_to(void **state)
{
    struct place *p = *state;
    char temporary[4200];
    make_file(in(p, "precious"), "precious");
    make_link("precious", in(p, "out"));
    /* Nor one in the place of the temporary file. */
    snprintf(temporary, sizeof temporary, "%s/out.%ld-0.tmp", p->directory, (long)getpid());
    make_link("precious", temporary);
    assert_ok(file_write(in(p, "out"), "new", 3, &p->trace), &p->trace);
    assert_file_is(in(p, "out"), "new");
    assert_file_is(in(p, "precious"), "precious");
    struct stat info;
    assert_int_equal(lstat(in(p, "out"), &info), 0);
    assert_true(S_ISREG(info.st_mode));
}

static void never_replaces_a_device_or_a_pipe(void **state)
{
    struct place *p = *state;
    struct file_writer w = {0};
    assert_int_equal(mkfifo(in(p, "pipe"), 0600), 0);
    assert_fails(file_writer_open(&w, in(p, "pipe"), &p->trace), INVALID, &p->trace, "a device or a pipe");
    assert_fails(file_writer_open(&w, "/dev/null", &p->trace), INVALID, &p->trace, "a device or a pipe");
    file_writer_release(&w);
    assert_int_equal(count_entries(p->directory), 1);
}

/* The same with what the kernel says of a full disk, met only when the buffer is written at the end. */
static void a_disk_full_at_the_end_is_told_by_commit(void **state)
{
    struct place *p = *state;
    struct file_writer w = {0};
    int full = open("/dev/full", O_WRONLY);
    if (full < 0)
        skip();
    assert_ok(file_writer_open(&w, in(p, "a"), &p->trace), &p->trace);
    assert_int_equal(dup2(full, w.fd), w.fd);
    close(full);
    assert_ok(file_writer_add(&w, "small", 5, &p->trace), &p->trace);
    assert_fails(file_writer_commit(&w, &p->trace), IO, &p->trace, "No space left");
    file_writer_release(&w);
    assert_int_equal(count_entries(p->directory), 0);
}

/* ---- directories and paths ---- */

static void makes_directories_with_parents(void **state)
{
    struct place *p = *state;
    struct trace *t = &p->trace;
    assert_ok(directory_create(in(p, "a/b/c"), t), t);
    assert_ok(directory_create(in(p, "a/b/c"), t), t);
    assert_ok(directory_create(in(p, "a//b/d/"), t), t);
    assert_true(file_exists(in(p, "a/b/c")));
    assert_true(file_exists(in(p, "a/b/d")));
    make_file(in(p, "file"), "");
    assert_fails(directory_create(in(p, "file"), t), IO, t, "File exists");
    assert_fails(directory_create(in(p, "file/x"), t), IO, t, "file");
    assert_fails(directory_create("", t), NOT_FOUND, t, "No such file");
}

static void removes_directories_but_follows_no_link(void **state)
{
    struct place *p = *state;
    assert_ok(directory_create(in(p, "a/b"), &p->trace), &p->trace);
    assert_ok(directory_create(in(p, "kept"), &p->trace), &p->trace);
    make_file(in(p, "a/b/file"), "x");
    make_file(in(p, "kept/file"), "x");
    make_link("../kept", in(p, "a/link"));
    make_link("nowhere", in(p, "a/dangling"));
    assert_ok(directory_remove(in(p, "a"), &p->trace), &p->trace);
    assert_false(file_exists(in(p, "a")));
    assert_true(file_exists(in(p, "kept/file")));
    assert_ok(directory_remove(in(p, "a"), &p->trace), &p->trace);
}

static void tells_free_space_also_of_paths_to_be_made(void **state)
{
    struct place *p = *state;
    uint64_t here = 0, below = 0;
    assert_ok(file_space(&here, p->directory, &p->trace), &p->trace);
    assert_ok(file_space(&below, in(p, "not/yet/there"), &p->trace), &p->trace);
    assert_true(here > 0 && below > 0);
    assert_ok(file_space(&below, "not-there-relative", &p->trace), &p->trace);
    make_file(in(p, "file"), "");
    assert_fails(file_space(&below, in(p, "file/x"), &p->trace), INVALID, &p->trace, "Not a directory");
}

static void joins_paths(void **state)
{
    (void)state;
    static const struct {
        const char *base, *relative, *beside, *joined;
    } cases[] = {
        {"a/m.yaml", "x", "a/x", "a/m.yaml/x"},
        {"m.yaml", "x", "x", "m.yaml/x"},
        {"/m", "x/y", "/x/y", "/m/x/y"},
        {"a/", "x", "a/x", "a/x"},
        {"", "x", "x", "x"},
        {"/", "x", "/x", "/x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *beside = path_beside(cases[i].base, cases[i].relative);
        char *joined = path_join(cases[i].base, cases[i].relative);
        assert_string_equal(beside, cases[i].beside);
        assert_string_equal(joined, cases[i].joined);
        free(beside);
        free(joined);
    }
    char *absolute = path_beside("a/b", "/abs/x");
    assert_string_equal(absolute, "/abs/x");
    free(absolute);
}

static void notices_sizes_that_overflow(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(size_multiply(SIZE_MAX / 3, 3, &out));
    assert_int_equal(out, SIZE_MAX / 3 * 3);
    assert_true(size_multiply(0, SIZE_MAX, &out));
    assert_int_equal(out, 0);
    assert_false(size_multiply(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(size_multiply((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_true(size_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &out));
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(maps_a_file),
        IN_DIRECTORY(maps_an_empty_file),
        IN_DIRECTORY(releases_a_zeroed_mapping),
        IN_DIRECTORY(maps_regular_files_only),
        IN_DIRECTORY(notices_a_truncated_mapping),
        IN_DIRECTORY(opens_files_in_the_model_directory),
        IN_DIRECTORY(refuses_paths_that_leave),
        IN_DIRECTORY(refuses_broken_and_overlong_locations),
        IN_DIRECTORY(refuses_links_that_leave),
        IN_DIRECTORY(opens_files_beside_a_linked_model),
        IN_DIRECTORY(contained_files_are_regular),
        IN_DIRECTORY(reads_up_to_the_limit),
        IN_DIRECTORY(reads_an_empty_file_as_text),
        IN_DIRECTORY(endless_input_stops_at_the_limit),
        IN_DIRECTORY(writes_whole_files),
        IN_DIRECTORY(writes_pieces_of_all_sizes_in_order),
        IN_DIRECTORY(an_abandoned_write_leaves_nothing),
        IN_DIRECTORY(two_writers_do_not_disturb_each_other),
        IN_DIRECTORY(a_missing_directory_is_told),
        IN_DIRECTORY(cannot_replace_a_directory),
        IN_DIRECTORY(a_full_disk_is_an_error_that_sticks),
        IN_DIRECTORY(a_disk_full_at_the_end_is_told_by_commit),
        IN_DIRECTORY(replaces_a_link_and_not_what_it_leads_to),
        IN_DIRECTORY(never_replaces_a_device_or_a_pipe),
        IN_DIRECTORY(makes_directories_with_parents),
        IN_DIRECTORY(removes_directories_but_follows_no_link),
        IN_DIRECTORY(tells_free_space_also_of_paths_to_be_made),
        IN_DIRECTORY(joins_paths),
        IN_DIRECTORY(notices_sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
