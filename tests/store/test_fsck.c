/* Damage that fsck reports, and what repairing does. */
#include "tests/store/fixture.h"

#include "store/external.h"
#include "store/fsck.h"
#include "store/gc.h"
#include "store/input.h"
#include "store/key.h"
#include "store/ref.h"

struct problems {
    struct fixture *f;
    struct builder text; /* "damaged SUBJECT\n" or "missing SUBJECT\n" each */
};

static void note(void *context, const struct fsck_problem *problem)
{
    struct problems *p = context;
    builder_printf(&p->text, "%s %s\n", problem->what == FSCK_DAMAGED ? "damaged" : "missing",
                   problem->subject);
    assert_true(strlen(problem->message) > 10);
}

/* The problems, as text on the fixture's arena; DIFFERS exactly when there are some. */
static const char *check(struct fixture *f, enum fsck_mode mode, struct fsck_report *report)
{
    struct problems p = {.f = f};
    enum status s = store_fsck(report, f->store, mode, note, &p, &f->trace);
    assert_int_equal(s, report->problems ? DIFFERS : OK);
    const char *text = arena_printf(&f->arena, "%s", builder_text(&p.text));
    builder_release(&p.text);
    return text;
}

static const char *id_text(struct fixture *f, struct hash128 id)
{
    char *text = arena_alloc(&f->arena, STORE_ID_TEXT);
    store_id_to_text(id, text);
    return text;
}

/* key "k" -> result -> model -> tensor. */
struct chain {
    struct hash128 tensor, model, result;
};

static struct chain put_chain(struct fixture *f)
{
    struct chain c;
    struct store_result result = {0};
    assert_ok(store_put_tensor(&c.tensor, f->store, "f32", 1, (int64_t[]){2}, (float[]){1, 2}, &f->trace),
              &f->trace);
    c.model = fixture_put(f, "model", arena_printf(&f->arena, "w %s", id_text(f, c.tensor)));
    store_result_add(&result, &f->arena, "model", c.model, NULL);
    assert_ok(store_key_put(f->store, key_of("k"), &result, &f->trace), &f->trace);
    assert_ok(store_key_read(&c.result, f->store, key_of("k"), &f->trace), &f->trace);
    return c;
}

static void a_sound_store_has_no_problem(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
    put_chain(f);
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
    assert_int_equal(report.objects, 3);
    assert_ok(store_fsck(&report, f->store, FSCK_REPAIR, NULL, NULL, &f->trace), &f->trace);
    assert_int_equal(report.set_aside + report.forgotten + report.dropped, 0);
}

static void every_damaged_object_is_reported(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    struct chain c = put_chain(f);
    struct hash128 text = fixture_put(f, "text", "long enough to lose a byte");
    flip_byte(fixture_object_path(f, "objects", c.tensor), 130);
    assert_int_equal(truncate(fixture_object_path(f, "objects", text), 70), 0);
    const char *found = check(f, FSCK_REPORT, &report);
    assert_int_equal(report.problems, 2);
    assert_non_null(strstr(found, arena_printf(&f->arena, "damaged %s\n", id_text(f, c.tensor))));
    assert_non_null(strstr(found, arena_printf(&f->arena, "damaged %s\n", id_text(f, text))));
    assert_true(file_exists(fixture_object_path(f, "objects", c.tensor)));
    assert_int_equal(status_exit_code(DIFFERS), 1);
}

static void missing_objects_are_reported(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    struct chain c = put_chain(f);
    assert_int_equal(unlink(fixture_object_path(f, "objects", c.tensor)), 0);
    assert_string_equal(check(f, FSCK_REPORT, &report),
                        arena_printf(&f->arena, "missing %s\n", id_text(f, c.tensor)));
    struct hash128 id = fixture_put(f, "text", "x");
    assert_ok(store_ref_set(f->store, "r", id, &f->trace), &f->trace);
    assert_int_equal(unlink(fixture_object_path(f, "objects", id)), 0);
    assert_non_null(strstr(check(f, FSCK_REPORT, &report), "missing "));
    assert_int_equal(report.problems, 2);
    write_text(fixture_path(f, "store/refs/r"), "nonsense");
    assert_non_null(strstr(check(f, FSCK_REPORT, &report), "refs/r"));
}

static void repairing_lets_the_stage_run_again(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    struct store_result result;
    struct chain c = put_chain(f);
    flip_byte(fixture_object_path(f, "objects", c.tensor), 130);
    check(f, FSCK_REPAIR, &report);
    assert_int_equal(report.problems, 1);
    assert_int_equal(report.set_aside, 1);
    assert_int_equal(report.forgotten, 1);
    assert_int_equal(count_files(f, "damaged"), 1);
    assert_fails(store_key_find(&result, &f->arena, f->store, key_of("k"), &f->trace), NOT_FOUND, &f->trace,
                 "no result");
    put_chain(f);
    assert_ok(store_key_find(&result, &f->arena, f->store, key_of("k"), &f->trace), &f->trace);
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
}

static void repairing_keeps_keys_that_are_complete(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    struct store_result result;
    put_chain(f);
    struct hash128 other = fixture_put(f, "text", "other");
    flip_byte(fixture_object_path(f, "objects", other), 65);
    check(f, FSCK_REPAIR, &report);
    assert_int_equal(report.set_aside, 1);
    assert_int_equal(report.forgotten, 0);
    assert_ok(store_key_find(&result, &f->arena, f->store, key_of("k"), &f->trace), &f->trace);
}

static void damaged_and_dangling_keys_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    struct chain c = put_chain(f);
    assert_int_equal(unlink(fixture_object_path(f, "objects", c.result)), 0);
    char *path = fixture_object_path(f, "keys", key_of("k"));
    assert_string_equal(check(f, FSCK_REPORT, &report), arena_printf(&f->arena, "missing %s\n", path));
    write_text(path, "nonsense");
    assert_string_equal(check(f, FSCK_REPAIR, &report), arena_printf(&f->arena, "damaged %s\n", path));
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
}

static void external_tensors_are_read_again(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    char *path = fixture_path(f, "model");
    struct hash128 id;
    struct stat st;
    write_text(path, "12345678");
    make_old(path, 100);
    assert_int_equal(stat(path, &st), 0);
    assert_ok(store_put_external(&id, f->store, path, 0, "f32", 1, (int64_t[]){2}, &f->trace), &f->trace);
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
    assert_int_equal(report.objects, 1);
    assert_int_equal(report.bytes, 8);
    flip_byte(path, 5);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){st.st_mtim, st.st_mtim}, 0), 0);
    assert_string_equal(check(f, FSCK_REPORT, &report),
                        arena_printf(&f->arena, "damaged %s\n", id_text(f, id)));
    assert_int_equal(rename(path, fixture_path(f, "away")), 0);
    assert_string_equal(check(f, FSCK_REPAIR, &report),
                        arena_printf(&f->arena, "missing %s\n", id_text(f, id)));
    assert_int_equal(report.dropped, 0);
    assert_int_equal(rename(fixture_path(f, "away"), path), 0);
    check(f, FSCK_REPAIR, &report);
    assert_int_equal(report.dropped, 1);
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
}

static void an_input_that_changed_behind_its_mtime_is_reported(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    struct store_input input;
    struct stat st;
    char *path = fixture_path(f, "input");
    write_text(path, "train");
    make_old(path, 100);
    assert_int_equal(stat(path, &st), 0);
    assert_ok(store_input_hash(&input, f->store, path, INPUT_REMEMBERED, &f->trace), &f->trace);
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
    flip_byte(path, 0);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){st.st_mtim, st.st_mtim}, 0), 0);
    assert_non_null(strstr(check(f, FSCK_REPORT, &report), "damaged "));
    make_old(path, 50);
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
    assert_int_equal(unlink(path), 0);
    assert_string_equal(check(f, FSCK_REPORT, &report), "");
}

static void a_tensor_whose_payload_lies_is_reported(void **state)
{
    struct fixture *f = *state;
    struct fsck_report report;
    struct hash128 id = fixture_put(f, "tensor", "no header of a tensor at all");
    assert_string_equal(check(f, FSCK_REPORT, &report),
                        arena_printf(&f->arena, "damaged %s\n", id_text(f, id)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_sound_store_has_no_problem),
        STORE_TEST(every_damaged_object_is_reported),
        STORE_TEST(missing_objects_are_reported),
        STORE_TEST(repairing_lets_the_stage_run_again),
        STORE_TEST(repairing_keeps_keys_that_are_complete),
        STORE_TEST(damaged_and_dangling_keys_are_forgotten),
        STORE_TEST(external_tensors_are_read_again),
        STORE_TEST(an_input_that_changed_behind_its_mtime_is_reported),
        STORE_TEST(a_tensor_whose_payload_lies_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
