/* What gc keeps and what it removes. */
#include "tests/store/fixture.h"

#include "store/checkpoint.h"
#include "store/external.h"
#include "store/gc.h"
#include "store/input.h"
#include "store/key.h"
#include "store/ref.h"
#include "store/stage_lock.h"
#include "store/tensor_object.h"

static struct gc_report collect(struct fixture *f, struct gc_options options)
{
    struct gc_report report;
    assert_ok(store_gc(&report, f->store, options, &f->trace), &f->trace);
    return report;
}

/* A model of one tensor that holds `value`. */
static struct hash128 put_model(struct fixture *f, float value, struct hash128 *tensor)
{
    char id[STORE_ID_TEXT];
    assert_ok(store_put_tensor(tensor, f->store, "f32", 1, (int64_t[]){1}, &value, &f->trace), &f->trace);
    store_id_to_text(*tensor, id);
    return fixture_put(f, "model", arena_printf(&f->arena, "tensor w f32 [1] %s\n", id));
}

static void put_key(struct fixture *f, const char *key, struct hash128 output)
{
    struct store_result result = {0};
    store_result_add(&result, &f->arena, "model", output, NULL);
    assert_ok(store_key_put(f->store, key_of(key), &result, &f->trace), &f->trace);
}

static bool has(struct fixture *f, struct hash128 id)
{
    return store_has_object(f->store, id);
}

static bool has_key(struct fixture *f, const char *key)
{
    struct store_result result;
    return store_key_find(&result, &f->arena, f->store, key_of(key), &f->trace) == OK;
}

static void an_empty_store_stays_empty(void **state)
{
    struct fixture *f = *state;
    struct gc_report report = collect(f, (struct gc_options){0});
    assert_int_equal(report.objects + report.keys + report.temporaries + report.checkpoints, 0);
}

static void what_refs_and_keys_reach_stays(void **state)
{
    struct fixture *f = *state;
    struct hash128 tensors[3], models[3];
    for (int i = 0; i < 3; i++)
        models[i] = put_model(f, (float)i, &tensors[i]);
    assert_ok(store_ref_set(f->store, "kept", models[0], &f->trace), &f->trace);
    put_key(f, "k", models[1]);
    struct gc_report count = collect(f, (struct gc_options){.mode = GC_COUNT});
    assert_true(has(f, models[2]) && has(f, tensors[2]));
    struct gc_report report = collect(f, (struct gc_options){0});
    assert_int_equal(report.objects, 2);
    assert_memory_equal(&count, &report, sizeof report);
    for (int i = 0; i < 2; i++)
        assert_true(has(f, models[i]) && has(f, tensors[i]));
    assert_false(has(f, models[2]) || has(f, tensors[2]));
    assert_true(has_key(f, "k"));
    assert_int_equal(collect(f, (struct gc_options){0}).objects, 0);
}

static void a_kind_of_tomorrow_keeps_what_it_names_and_text_does_not(void **state)
{
    struct fixture *f = *state;
    char id[STORE_ID_TEXT];
    struct hash128 a = fixture_put(f, "names", "a"), b = fixture_put(f, "names", "b");
    store_id_to_text(a, id);
    assert_ok(store_ref_set(f->store, "a", fixture_put(f, "hologram", id), &f->trace), &f->trace);
    store_id_to_text(b, id);
    assert_ok(store_ref_set(f->store, "b", fixture_put(f, "text", id), &f->trace), &f->trace);
    collect(f, (struct gc_options){0});
    assert_true(has(f, a));
    assert_false(has(f, b));
}

static void keeping_refs_only_forgets_other_keys(void **state)
{
    struct fixture *f = *state;
    struct hash128 tensors[2], models[2];
    for (int i = 0; i < 2; i++)
        models[i] = put_model(f, (float)i, &tensors[i]);
    put_key(f, "reached", models[0]);
    put_key(f, "other", models[1]);
    assert_ok(store_record_write(f->store, key_of("other"), STR("{}"), &f->trace), &f->trace);
    struct arena arena = {0};
    char *steps;
    assert_ok(store_steps_path(&steps, &arena, f->store, key_of("other"), &f->trace), &f->trace);
    assert_ok(file_write(steps, "{}\n", 3, &f->trace), &f->trace);
    arena_release(&arena);
    assert_ok(store_ref_set(f->store, "kept", models[0], &f->trace), &f->trace);
    struct gc_report report = collect(f, (struct gc_options){.keys = GC_KEEP_REFS});
    assert_int_equal(report.keys, 1);
    assert_int_equal(report.objects, 3);
    assert_true(has_key(f, "reached") && has(f, tensors[0]));
    assert_false(has_key(f, "other") || has(f, models[1]) || has(f, tensors[1]));
    assert_int_equal(count_files(f, "records"), 0);
}

static void keys_unused_for_long_are_forgotten_when_asked(void **state)
{
    struct fixture *f = *state;
    struct hash128 tensor;
    put_key(f, "old", put_model(f, 1, &tensor));
    put_key(f, "used", put_model(f, 2, &tensor));
    make_old(fixture_object_path(f, "keys", key_of("old")), 40 * 86400);
    make_old(fixture_object_path(f, "keys", key_of("used")), 40 * 86400);
    assert_true(has_key(f, "used"));
    assert_int_equal(collect(f, (struct gc_options){0}).keys, 0);
    assert_int_equal(collect(f, (struct gc_options){.unused_days = 41}).keys, 0);
    assert_int_equal(collect(f, (struct gc_options){.unused_days = 30}).keys, 1);
    assert_true(has_key(f, "used"));
    assert_false(has_key(f, "old"));
}

static void a_running_stage_keeps_what_it_made_and_uses(void **state)
{
    struct fixture *f = *state;
    struct stage_lock lock;
    struct hash128 tensor, used_tensor, used = put_model(f, 7, &used_tensor),
                                        again = fixture_put(f, "names", "again");
    struct hash128 unused = fixture_put(f, "names", "unused");
    make_old(fixture_object_path(f, "objects", used), 100);
    make_old(fixture_object_path(f, "objects", used_tensor), 100);
    make_old(fixture_object_path(f, "objects", again), 100);
    make_old(fixture_object_path(f, "objects", unused), 100);
    assert_ok(stage_lock_try(&lock, f->store, key_of("k"), &f->trace), &f->trace);
    assert_ok(stage_lock_use(&lock, used, &f->trace), &f->trace);
    struct hash128 made = put_model(f, 8, &tensor);
    fixture_put(f, "names", "again");
    assert_int_equal(collect(f, (struct gc_options){.keys = GC_KEEP_REFS}).objects, 1);
    assert_true(has(f, made) && has(f, tensor) && has(f, used) && has(f, used_tensor) && has(f, again));
    assert_false(has(f, unused));
    stage_lock_release(&lock);
    assert_int_equal(collect(f, (struct gc_options){0}).objects, 5);
}

static void damage_stops_it_before_anything_goes(void **state)
{
    struct fixture *f = *state;
    struct hash128 tensor, model = put_model(f, 1, &tensor), loose = fixture_put(f, "names", "loose");
    struct gc_report report;
    put_key(f, "k", model);
    put_key(f, "dropped", loose);
    make_old(fixture_object_path(f, "keys", key_of("dropped")), 40 * 86400);
    flip_byte(fixture_object_path(f, "objects", model), 100);
    assert_fails(store_gc(&report, f->store, (struct gc_options){.unused_days = 30}, &f->trace), CORRUPT,
                 &f->trace, "damaged");
    assert_true(has(f, loose) && has(f, tensor));
    assert_int_equal(count_files(f, "keys"), 2);
    flip_byte(fixture_object_path(f, "objects", model), 100);
    write_text(fixture_path(f, "store/keys/00"), "not a directory");
    assert_int_equal(store_gc(&report, f->store, (struct gc_options){0}, &f->trace), INVALID);
    assert_true(has(f, loose));
}

static void stale_temporaries_go_and_open_ones_stay(void **state)
{
    struct fixture *f = *state;
    struct object_writer w;
    struct hash128 id;
    assert_ok(object_writer_open(&w, f->store, "text", 4, OBJECT_XXH3, &f->trace), &f->trace);
    write_text(fixture_path(f, "store/tmp/new.1-0.tmp"), "left behind");
    assert_int_equal(collect(f, (struct gc_options){0}).temporaries, 1);
    assert_ok(object_writer_add(&w, "live", 4, &f->trace), &f->trace);
    assert_ok(object_writer_commit(&id, NULL, &w, &f->trace), &f->trace);
    assert_int_equal(count_files(f, "tmp"), 0);
}

static void checkpoints_of_finished_stages_go(void **state)
{
    struct fixture *f = *state;
    struct hash128 tensor;
    static const char *const keys[] = {"done", "stopped"};
    for (int i = 0; i < 2; i++) {
        struct checkpoint_writer w;
        assert_ok(checkpoint_writer_begin(&w, f->store, key_of(keys[i]), 5, &f->trace), &f->trace);
        assert_ok(checkpoint_writer_add(&w, "w", "abc", 3, &f->trace), &f->trace);
        assert_ok(checkpoint_writer_commit(&w, &f->trace), &f->trace);
    }
    put_key(f, "done", put_model(f, 1, &tensor));
    assert_int_equal(collect(f, (struct gc_options){0}).checkpoints, 1);
    struct checkpoint checkpoint;
    assert_ok(checkpoint_open_latest(&checkpoint, f->store, key_of("stopped"), &f->trace), &f->trace);
    checkpoint_release(&checkpoint);
    assert_int_equal(checkpoint_open_latest(&checkpoint, f->store, key_of("done"), NULL), NOT_FOUND);
}

static void places_of_external_tensors_and_absent_inputs_go(void **state)
{
    struct fixture *f = *state;
    char *path = fixture_path(f, "model"), id[STORE_ID_TEXT];
    struct hash128 kept, dropped;
    struct store_input input;
    write_text(path, "12345678");
    make_old(path, 100);
    assert_ok(store_put_external(&kept, f->store, path, 0, "f32", 1, (int64_t[]){1}, &f->trace), &f->trace);
    assert_ok(store_put_external(&dropped, f->store, path, 4, "f32", 1, (int64_t[]){1}, &f->trace),
              &f->trace);
    assert_ok(store_input_hash(&input, f->store, path, INPUT_REMEMBERED, &f->trace), &f->trace);
    store_id_to_text(kept, id);
    assert_ok(store_ref_set(f->store, "m", fixture_put(f, "model", id), &f->trace), &f->trace);
    struct gc_report report = collect(f, (struct gc_options){0});
    assert_int_equal(report.places, 1);
    assert_int_equal(report.inputs, 0);
    assert_true(has(f, kept) && !has(f, dropped));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(collect(f, (struct gc_options){0}).inputs, 1);
    assert_int_equal(count_files(f, "inputs"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_empty_store_stays_empty),
        STORE_TEST(what_refs_and_keys_reach_stays),
        STORE_TEST(a_kind_of_tomorrow_keeps_what_it_names_and_text_does_not),
        STORE_TEST(keeping_refs_only_forgets_other_keys),
        STORE_TEST(keys_unused_for_long_are_forgotten_when_asked),
        STORE_TEST(a_running_stage_keeps_what_it_made_and_uses),
        STORE_TEST(damage_stops_it_before_anything_goes),
        STORE_TEST(stale_temporaries_go_and_open_ones_stay),
        STORE_TEST(checkpoints_of_finished_stages_go),
        STORE_TEST(places_of_external_tensors_and_absent_inputs_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
