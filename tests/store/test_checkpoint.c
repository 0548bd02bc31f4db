/* Checkpoints: the latest good one, two kept, none trusted unread. */
#include "tests/store/fixture.h"

#include "store/checkpoint.h"

static void write_step(struct fixture *f, uint64_t step, float value)
{
    struct checkpoint_writer w;
    float weights[100];
    for (int i = 0; i < 100; i++)
        weights[i] = value + (float)i;
    assert_ok(checkpoint_writer_begin(&w, f->store, key_of("k"), step, &f->trace), &f->trace);
    assert_ok(checkpoint_writer_add(&w, "weights/0 \"q\" \xc3\xa9", weights, sizeof weights, &f->trace),
              &f->trace);
    assert_ok(checkpoint_writer_add(&w, "counters", &step, sizeof step, &f->trace), &f->trace);
    assert_ok(checkpoint_writer_add(&w, "nothing", NULL, 0, &f->trace), &f->trace);
    assert_ok(checkpoint_writer_commit(&w, &f->trace), &f->trace);
}

static uint64_t latest_step(struct fixture *f)
{
    struct checkpoint checkpoint;
    assert_ok(checkpoint_open_latest(&checkpoint, f->store, key_of("k"), &f->trace), &f->trace);
    uint64_t step = checkpoint.step;
    checkpoint_release(&checkpoint);
    return step;
}

static char *step_path(struct fixture *f, const char *rest)
{
    char hex[HASH128_HEX];
    hash128_to_hex(key_of("k"), hex);
    return arena_printf(&f->arena, "%s/checkpoints/%s/%s", store_path(f->store), hex, rest);
}

static void files_come_back(void **state)
{
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    struct mapping m = {0};
    write_step(f, 400, 1.5f);
    assert_ok(checkpoint_open_latest(&checkpoint, f->store, key_of("k"), &f->trace), &f->trace);
    assert_int_equal(checkpoint.step, 400);
    assert_int_equal(checkpoint.files.count, 3);
    assert_int_equal(checkpoint_find(&checkpoint, "counters")->bytes, 8);
    assert_null(checkpoint_find(&checkpoint, "other"));
    assert_ok(checkpoint_map(&m, &checkpoint, "weights/0 \"q\" \xc3\xa9", 400, &f->trace), &f->trace);
    assert_true(((const float *)(const void *)m.data)[99] == 100.5f);
    mapping_release(&m);
    assert_ok(checkpoint_map(&m, &checkpoint, "nothing", 0, &f->trace), &f->trace);
    mapping_release(&m);
    assert_fails(checkpoint_map(&m, &checkpoint, "counters", 16, &f->trace), CORRUPT, &f->trace,
                 "expected 16");
    assert_fails(checkpoint_map(&m, &checkpoint, "other", 16, &f->trace), NOT_FOUND, &f->trace,
                 "no \"other\"");
    checkpoint_release(&checkpoint);
    checkpoint_release(&checkpoint);
}

static void none_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct checkpoint checkpoint;
    assert_fails(checkpoint_open_latest(&checkpoint, f->store, key_of("k"), &f->trace), NOT_FOUND, &f->trace,
                 "no checkpoint");
    checkpoint_release(&checkpoint);
}

static void two_are_kept(void **state)
{
    struct fixture *f = *state;
    for (uint64_t step = 8; step <= 12; step++)
        write_step(f, step, 0);
    assert_int_equal(latest_step(f), 12);
    assert_true(file_exists(step_path(f, "11")) && !file_exists(step_path(f, "10")) &&
                !file_exists(step_path(f, "8")));
    assert_int_equal(count_files(f, "checkpoints"), 2 * 4);
}

static void a_damaged_one_is_passed_over(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"20/0", "20/1", "20/manifest"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_step(f, 10, 1);
        write_step(f, 20, 2);
        assert_int_equal(latest_step(f), 20);
        flip_byte(step_path(f, files[i]), 7);
        assert_int_equal(latest_step(f), 10);
    }
    write_step(f, 20, 2);
    assert_int_equal(truncate(step_path(f, "20/0"), 399), 0);
    assert_int_equal(latest_step(f), 10);
    assert_int_equal(unlink(step_path(f, "20/0")), 0);
    assert_int_equal(latest_step(f), 10);
}

static void an_unfinished_one_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct checkpoint_writer w;
    write_step(f, 10, 1);
    assert_ok(checkpoint_writer_begin(&w, f->store, key_of("k"), 20, &f->trace), &f->trace);
    assert_ok(checkpoint_writer_add(&w, "weights", "abc", 3, &f->trace), &f->trace);
    assert_int_equal(latest_step(f), 10);
    checkpoint_writer_release(&w);
    assert_false(file_exists(step_path(f, "20")));
}

static void a_manifest_of_another_step_is_passed_over(void **state)
{
    struct fixture *f = *state;
    write_step(f, 10, 1);
    write_step(f, 20, 1);
    assert_int_equal(system(arena_printf(&f->arena, "mv '%s' '%s'", step_path(f, "20"), step_path(f, "30"))),
                     0);
    assert_int_equal(latest_step(f), 10);
}

static void going_on_from_an_earlier_step_replaces_later_ones(void **state)
{
    struct fixture *f = *state;
    write_step(f, 10, 1);
    write_step(f, 30, 1);
    flip_byte(step_path(f, "30/0"), 3);
    assert_int_equal(latest_step(f), 10);
    write_step(f, 20, 1);
    assert_int_equal(latest_step(f), 20);
    assert_false(file_exists(step_path(f, "30")));
    assert_true(file_exists(step_path(f, "10")));
}

static void a_name_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    struct checkpoint_writer w;
    assert_ok(checkpoint_writer_begin(&w, f->store, key_of("k"), 1, &f->trace), &f->trace);
    assert_ok(checkpoint_writer_add(&w, "a", "1", 1, &f->trace), &f->trace);
    assert_fails(checkpoint_writer_add(&w, "a", "2", 1, &f->trace), INVALID, &f->trace, "already");
    checkpoint_writer_release(&w);
}

static void a_writer_that_is_killed_leaves_the_one_before(void **state)
{
    struct fixture *f = *state;
    write_step(f, 1, 1);
    for (int i = 0; i < 12; i++) {
        uint64_t before = latest_step(f);
        pid_t child = fork();
        if (child == 0)
            for (uint64_t step = before + 1;; step++)
                write_step(f, step, (float)step);
        usleep((useconds_t)(1000 + i * 2700));
        kill(child, SIGKILL);
        wait_child(child);
        assert_true(latest_step(f) >= before);
    }
    write_step(f, 1000000, 1);
    assert_int_equal(latest_step(f), 1000000);
    assert_int_equal(count_files(f, "checkpoints"), 2 * 4);
}

static void all_are_removed(void **state)
{
    struct fixture *f = *state;
    write_step(f, 10, 1);
    write_step(f, 20, 1);
    assert_ok(checkpoint_remove_all(f->store, key_of("k"), &f->trace), &f->trace);
    assert_ok(checkpoint_remove_all(f->store, key_of("k"), &f->trace), &f->trace);
    assert_int_equal(count_files(f, "checkpoints"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(files_come_back),
        STORE_TEST(none_is_not_found),
        STORE_TEST(two_are_kept),
        STORE_TEST(a_damaged_one_is_passed_over),
        STORE_TEST(an_unfinished_one_is_passed_over),
        STORE_TEST(a_manifest_of_another_step_is_passed_over),
        STORE_TEST(going_on_from_an_earlier_step_replaces_later_ones),
        STORE_TEST(a_name_twice_is_refused),
        STORE_TEST(a_writer_that_is_killed_leaves_the_one_before),
        STORE_TEST(all_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
