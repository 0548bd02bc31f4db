/* Several processes in one store, some of which are killed. */
#include "tests/store/fixture.h"

#include "store/fsck.h"
#include "store/gc.h"
#include "store/key.h"
#include "store/list.h"
#include "store/ref.h"
#include "store/stage_lock.h"
#include "store/tensor_object.h"

static void assert_sound(struct fixture *f)
{
    struct fsck_report report;
    assert_ok(store_fsck(&report, f->store, FSCK_REPORT, NULL, NULL, &f->trace), &f->trace);
}

static void processes_that_create_one_store_all_succeed(void **state)
{
    struct fixture *f = *state;
    enum { CHILDREN = 8 };
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct store *store;
            struct hash128 id;
            if (store_open(&store, fixture_path(f, "shared/new"), STORE_CREATE, NULL) != OK)
                _exit(1);
            _exit(store_put(&id, NULL, store, "text", "x", 1, NULL) == OK ? 0 : 2);
        }
    }
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(wait_child(children[i]), 0);
    assert_true(file_exists(fixture_path(f, "shared/new/format")));
}

static void processes_that_write_the_same_objects_agree(void **state)
{
    struct fixture *f = *state;
    enum { CHILDREN = 4, OBJECTS = 12 };
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (int n = 0; n < OBJECTS; n++) {
                struct hash128 id;
                struct store_object object;
                char text[32];
                int length = snprintf(text, sizeof text, "object %d", n);
                if (store_put(&id, NULL, f->store, "text", text, (size_t)length, NULL) != OK ||
                    store_open_object(&object, f->store, id, "text", OBJECT_VERIFY, NULL) != OK)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(wait_child(children[i]), 0);
    assert_int_equal(count_files(f, "objects"), OBJECTS);
    assert_int_equal(count_files(f, "tmp"), 0);
    assert_sound(f);
}

/* Writes tensors, keys and refs until it is killed. */
static void write_for_ever(struct fixture *f, uint32_t seed)
{
    enum { COUNT = 50000 };
    uint32_t *values = malloc(COUNT * sizeof *values);
    struct arena arena = {0};
    for (;; seed++) {
        struct hash128 id;
        struct store_result result = {0};
        for (uint32_t i = 0; i < COUNT; i++)
            values[i] = i ^ seed;
        if (store_put_tensor(&id, f->store, "u32", 1, (int64_t[]){COUNT}, values, NULL) != OK)
            _exit(1);
        store_result_add(&result, &arena, "t", id, NULL);
        if (store_key_put(f->store, hash128_of(&seed, sizeof seed), &result, NULL) != OK)
            _exit(2);
        if (store_ref_set(f->store, "latest", id, NULL) != OK)
            _exit(3);
    }
}

static void a_writer_that_is_killed_leaves_a_sound_store(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 25 };
    for (uint32_t i = 0; i < ROUNDS; i++) {
        pid_t child = fork();
        if (child == 0)
            write_for_ever(f, i * 1000);
        usleep(500 + i * 1237 % 20000);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = wait_child(child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_sound(f);
    }
    struct gc_report report;
    assert_ok(store_gc(&report, f->store, (struct gc_options){0}, &f->trace), &f->trace);
    assert_int_equal(count_files(f, "tmp"), 0);
    struct hash128 id;
    assert_ok(store_put(&id, NULL, f->store, "text", "still usable", 12, &f->trace), &f->trace);
    assert_sound(f);
}

/* Stages that make objects, name them in a result, and find them there; gc all the while. */
static void run_stages(struct fixture *f, int child)
{
    enum { STAGES = 15 };
    for (int stage = 0; stage < STAGES; stage++) {
        struct arena arena = {0};
        struct stage_lock lock;
        struct store_result result = {0}, found;
        struct trace trace = {0};
        struct hash128 shared, own, key;
        char text[64], named[STORE_ID_TEXT];
        if (stage_lock_wait(&lock, f->store, key_of("a stage of each"), NULL, &trace) != OK)
            _exit(1);
        stage_lock_release(&lock);
        snprintf(text, sizeof text, "stage %d of %d", stage, child);
        key = key_of(text);
        if (stage_lock_try(&lock, f->store, key, &trace) != OK || !lock.is_held)
            _exit(2);
        if (store_put(&shared, NULL, f->store, "names", "in every model", 14, &trace) != OK)
            _exit(3);
        store_id_to_text(shared, named);
        if (store_put(&own, NULL, f->store, "model", named, strlen(named), &trace) != OK)
            _exit(4);
        usleep(1000);
        store_result_add(&result, &arena, "model", own, NULL);
        if (store_key_put(f->store, key, &result, &trace) != OK)
            _exit(5);
        if (store_key_find(&found, &arena, f->store, key, &trace) != OK ||
            !store_has_object(f->store, shared))
            _exit(6);
        stage_lock_release(&lock);
        arena_release(&arena);
    }
    _exit(0);
}

static void gc_takes_nothing_from_running_stages(void **state)
{
    struct fixture *f = *state;
    enum { CHILDREN = 3 };
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0)
            run_stages(f, i);
    }
    for (int running = CHILDREN, status; running > 0;) {
        struct gc_report report;
        /* The hardest kind: whatever no running stage holds is forgotten. */
        assert_ok(store_gc(&report, f->store, (struct gc_options){.keys = GC_KEEP_REFS}, &f->trace),
                  &f->trace);
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended > 0) {
            assert_int_equal(status, 0);
            running--;
        }
    }
    assert_sound(f);
    struct gc_report report;
    assert_ok(store_gc(&report, f->store, (struct gc_options){.keys = GC_KEEP_REFS}, &f->trace), &f->trace);
    assert_int_equal(count_files(f, "objects"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(processes_that_create_one_store_all_succeed),
        STORE_TEST(processes_that_write_the_same_objects_agree),
        STORE_TEST(a_writer_that_is_killed_leaves_a_sound_store),
        STORE_TEST(gc_takes_nothing_from_running_stages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
