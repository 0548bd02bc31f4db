/* The loop: losses fall, a resumed run and a run split differently give the same bytes, interruption and
 * errors. */
#include "backend-cpu/cpu.h"
#include "ir/profile.h"
#include "tests/train/model.h"
#include "train/step_memory.h"
#include <math.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

static const struct objective kl[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
static const struct objective ce[] = {{.kind = OBJECTIVE_ce, .weight = 1}};

struct fixture {
    struct executor *executor;
    struct graph *student, *teacher;
    const struct graph *teachers[1];
    struct model_data data;
    struct trainer_spec spec;
};

static void open_fixture(struct fixture *f, const struct objective *objective, uint32_t threads)
{
    struct trace trace = {0};
    *f = (struct fixture){.data = {.vocab = 67, .micros = 4}};
    struct cpu_options options = {.threads = threads, .check_finite = CPU_CHECK_FINITE};
    assert_ok(cpu_executor_create(&f->executor, options, &trace), &trace);
    f->student = model_build(model_arch(), 1);
    f->teachers[0] = f->teacher = model_build(model_arch(), 500);
    f->spec = model_spec(f->executor, f->student, objective, 1, &f->data);
    if (objective == kl) {
        f->spec.step.routes[0].teachers = f->teachers;
        f->spec.step.routes[0].teacher_count = 1;
    }
}

static void close_fixture(struct fixture *f)
{
    executor_destroy(f->executor);
    graph_destroy(f->student);
    graph_destroy(f->teacher);
}

static struct trainer *create(struct fixture *f)
{
    struct trace trace = {0};
    struct trainer *trainer;
    assert_ok(trainer_create(&trainer, &f->spec, &trace), &trace);
    return trainer;
}

/* All states, one after the other. */
static float *save_states(struct trainer *trainer, size_t *bytes)
{
    struct trace trace = {0};
    int64_t total = 0;
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++)
        total += trainer_state(trainer, i).count;
    float *all = malloc((size_t)total * sizeof *all), *at = all;
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        int64_t count = trainer_state(trainer, i).count;
        assert_ok(trainer_state_read(trainer, i, 0, count, at, &trace), &trace);
        at += count;
    }
    *bytes = (size_t)total * sizeof *all;
    return all;
}

static void load_states(struct trainer *trainer, const float *at, uint32_t position)
{
    struct trace trace = {0};
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        int64_t half = trainer_state(trainer, i).count / 2, rest = trainer_state(trainer, i).count - half;
        assert_ok(trainer_state_write(trainer, i, 0, half, at, &trace), &trace); /* in two parts */
        assert_ok(trainer_state_write(trainer, i, half, rest, at + half, &trace), &trace);
        at += half + rest;
    }
    assert_ok(trainer_resume(trainer, position, &trace), &trace);
}

/* Trains to the end; the states. */
static float *train(struct fixture *f, size_t *bytes)
{
    struct trace trace = {0};
    struct trainer_hooks hooks = {0};
    struct trainer *trainer = create(f);
    assert_ok(trainer_run(trainer, &hooks, &trace), &trace);
    assert_int_equal(trainer_position(trainer), f->spec.schedule.steps);
    float *states = save_states(trainer, bytes);
    trainer_destroy(trainer);
    return states;
}

struct losses {
    uint32_t count;
    float values[64];
};

static enum status note_loss(void *payload, const struct trainer_report *report, struct trace *trace)
{
    (void)trace;
    struct losses *losses = payload;
    losses->values[losses->count++] = report->loss;
    return OK;
}

static void learns(void **state)
{
    (void)state;
    const struct objective *const objectives[] = {kl, ce};
    for (int k = 0; k < 2; k++) {
        struct fixture f;
        struct trace trace = {0};
        struct losses losses = {0};
        open_fixture(&f, objectives[k], 2);
        f.spec.schedule.steps = 40;
        struct trainer *trainer = create(&f);
        struct trainer_hooks hooks = {.report = note_loss, .payload = &losses};
        assert_ok(trainer_run(trainer, &hooks, &trace), &trace);
        assert_int_equal(losses.count, 40);
        double first = 0, last = 0;
        for (int i = 0; i < 5; i++)
            first += losses.values[i], last += losses.values[35 + i];
        assert_true(last < 0.7 * first);
        assert_int_equal(executor_counters(f.executor).host_nodes, 0);
        trainer_destroy(trainer);
        close_fixture(&f);
    }
}

/* The state after `steps` steps of the whole run, without going on. */
struct stop {
    uint32_t after;
    volatile sig_atomic_t raised;
    float *states;
    size_t bytes;
    uint32_t saved_at;
};

static enum status raise_at(void *payload, const struct trainer_report *report, struct trace *trace)
{
    (void)trace;
    struct stop *stop = payload;
    stop->raised = report->step + 1 == stop->after;
    return OK;
}

static enum status keep_states(void *payload, struct trainer *trainer, struct trace *trace)
{
    (void)trace;
    struct stop *stop = payload;
    free(stop->states);
    stop->states = save_states(trainer, &stop->bytes);
    stop->saved_at = trainer_position(trainer);
    return OK;
}

static void resumes_to_the_same_bytes(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    open_fixture(&f, kl, 1);
    size_t bytes, resumed_bytes;
    float *whole = train(&f, &bytes);

    struct stop stop = {.after = 6};
    struct trainer_hooks hooks = {
        .report = raise_at, .checkpoint = keep_states, .payload = &stop, .interrupted = &stop.raised};
    struct trainer *trainer = create(&f);
    assert_fails(trainer_run(trainer, &hooks, &trace), INTERRUPTED, &trace, "after 6 of 10 steps");
    assert_int_equal(stop.saved_at, 6);
    trainer_destroy(trainer);

    trainer = create(&f);
    load_states(trainer, stop.states, 6);
    struct trainer_hooks none = {0};
    assert_ok(trainer_run(trainer, &none, &trace), &trace);
    float *resumed = save_states(trainer, &resumed_bytes);
    assert_int_equal(bytes, resumed_bytes);
    assert_memory_equal(whole, resumed, bytes);
    trainer_destroy(trainer);
    free(whole);
    free(resumed);
    free(stop.states);
    close_fixture(&f);
}

/* A second moment far below 2^-51 (gradients below 1e-8) must survive a checkpoint. */
static void resumes_small_second_moments(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, ce, 1);
    struct trainer *trainer = create(&f);
    size_t bytes, again_bytes;
    float *states = save_states(trainer, &bytes), *at = states;
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        struct trainer_state s = trainer_state(trainer, i);
        for (int64_t k = 0; k < s.count && s.kind == STATE_SECOND; k++)
            at[k] = 0x1p-100f * (float)(k + 1);
        at += s.count;
    }
    load_states(trainer, states, 3);
    float *again = save_states(trainer, &again_bytes);
    assert_memory_equal(states, again, bytes);
    free(states);
    free(again);
    trainer_destroy(trainer);
    close_fixture(&f);
}

static void goes_on_after_an_interruption(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    open_fixture(&f, ce, 1);
    size_t bytes, other_bytes;
    float *whole = train(&f, &bytes);
    struct stop stop = {.after = 3};
    struct trainer_hooks hooks = {.report = raise_at, .payload = &stop, .interrupted = &stop.raised};
    struct trainer *trainer = create(&f);
    assert_fails(trainer_run(trainer, &hooks, &trace), INTERRUPTED, &trace, "after 3");
    stop.raised = 0;
    assert_ok(trainer_run(trainer, &hooks, &trace), &trace);
    float *other = save_states(trainer, &other_bytes);
    assert_memory_equal(whole, other, bytes);
    trainer_destroy(trainer);
    free(whole);
    free(other);
    close_fixture(&f);
}

/* Raises the flag while the second micro-batch of step 4 is being made. */
struct middle {
    struct model_data data;
    volatile sig_atomic_t raised;
};

static void fill_and_raise(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    struct middle *middle = payload;
    middle->raised = middle->raised || (step == 4 && micro == 1);
    model_fill(&middle->data, step, micro, out);
}

static void drops_a_step_that_was_left_in_the_middle(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    open_fixture(&f, ce, 1);
    size_t bytes, other_bytes;
    float *whole = train(&f, &bytes);
    struct middle middle = {.data = f.data};
    f.spec.source = (struct trainer_source){.fill = fill_and_raise, .payload = &middle};
    struct trainer *trainer = create(&f);
    struct trainer_hooks hooks = {.interrupted = &middle.raised};
    assert_fails(trainer_run(trainer, &hooks, &trace), INTERRUPTED, &trace, "after 4");
    struct trainer_hooks none = {0};
    assert_ok(trainer_run(trainer, &none, &trace), &trace);
    float *other = save_states(trainer, &other_bytes);
    assert_memory_equal(whole, other, bytes);
    trainer_destroy(trainer);
    free(whole);
    free(other);
    close_fixture(&f);
}

/* Raises the flag when so many nodes have run, and counts those that run all the same. */
struct raising_profile {
    struct profile base;
    int left, late;
    volatile sig_atomic_t raised;
};

static void raise_at_node(struct profile *profile, const struct profile_span *span)
{
    struct raising_profile *p = (struct raising_profile *)profile;
    (void)span;
    p->late += p->raised;
    p->raised = p->raised || --p->left <= 0;
}

/* A micro-batch of a large model takes minutes; weights change behind it only. */
static void an_interruption_does_not_wait_for_a_micro_batch(void **state)
{
    (void)state;
    size_t bytes, other_bytes;
    for (int nodes = 1; nodes < 400; nodes += 57) {
        struct fixture f;
        struct trace trace = {0};
        struct raising_profile profile = {.base = {.span = raise_at_node}, .left = nodes};
        open_fixture(&f, ce, 1);
        float *whole = train(&f, &bytes);
        f.executor->profile = &profile.base;
        struct trainer *trainer = create(&f);
        struct trainer_hooks hooks = {.interrupted = &profile.raised};
        assert_fails(trainer_run(trainer, &hooks, &trace), INTERRUPTED, &trace, "interrupted after");
        uint32_t done = trainer_position(trainer);
        assert_true(profile.raised && profile.late < 60); /* what is left of a sweep is told behind it */
        struct trainer_hooks none = {0};
        assert_ok(trainer_run(trainer, &none, &trace), &trace);
        assert_true(trainer_position(trainer) > done);
        float *other = save_states(trainer, &other_bytes);
        assert_memory_equal(whole, other, bytes);
        trainer_destroy(trainer);
        free(whole);
        free(other);
        close_fixture(&f);
    }
}

static void threads_do_not_change_bytes(void **state)
{
    (void)state;
    float *states[2];
    size_t bytes[2];
    for (uint32_t k = 0; k < 2; k++) {
        struct fixture f;
        open_fixture(&f, kl, k + 1);
        states[k] = train(&f, &bytes[k]);
        close_fixture(&f);
    }
    assert_memory_equal(states[0], states[1], bytes[0]);
    free(states[0]);
    free(states[1]);
}

static void recomputing_does_not_change_bytes(void **state)
{
    (void)state;
    float *states[2];
    size_t bytes[2];
    for (uint32_t k = 0; k < 2; k++) {
        struct fixture f;
        open_fixture(&f, kl, 1);
        f.spec.step.recomputes = k == 1;
        states[k] = train(&f, &bytes[k]);
        close_fixture(&f);
    }
    assert_memory_equal(states[0], states[1], bytes[0]);
    free(states[0]);
    free(states[1]);
}

static void recomputes_where_memory_is_short(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    open_fixture(&f, kl, 1);
    f.spec.step.length = 200;
    uint32_t nodes[3];
    int64_t bytes[2];
    struct step step;
    for (int recomputes = 0; recomputes < 2; recomputes++) {
        f.spec.step.recomputes = recomputes;
        assert_ok(step_build(&step, &f.spec.step, &trace), &trace);
        assert_ok(step_memory(&bytes[recomputes], &step, STEP_TEACHERS_OWN, &trace), &trace);
        step_release(&step);
    }
    assert_true(bytes[1] < bytes[0] && bytes[1] > 0);
    const int64_t limits[] = {0, bytes[0], bytes[0] - 1};
    for (int i = 0; i < 3; i++) {
        f.spec.step.recomputes = false;
        if (limits[i] > 0)
            assert_ok(trainer_fit(&f.spec, NULL, limits[i], &trace), &trace);
        struct trainer *trainer = create(&f);
        nodes[i] = trainer_step(trainer)->micros[0].graph->nodes.count;
        trainer_destroy(trainer);
    }
    assert_int_equal(nodes[0], nodes[1]);
    assert_true(nodes[2] > nodes[0]);
    close_fixture(&f);
}

/* Golden arithmetic never meets a subnormal number: devices that flush them give the same bytes. */
static void flushing_subnormals_does_not_change_bytes(void **state)
{
    (void)state;
#ifdef __SSE__
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };
    const unsigned control = _mm_getcsr();
    float *states[2];
    size_t bytes[2];
    for (uint32_t k = 0; k < 2; k++) {
        struct fixture f;
        open_fixture(&f, kl, 1);
        if (k == 1)
            _mm_setcsr(control | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
        states[k] = train(&f, &bytes[k]);
        _mm_setcsr(control);
        close_fixture(&f);
    }
    assert_memory_equal(states[0], states[1], bytes[0]);
    free(states[0]);
    free(states[1]);
#else
    skip();
#endif
}

/* Lanes of one micro-batch each are added in the order in which one lane adds its micro-batches. */
static void one_micro_batch_a_lane_is_one_lane(void **state)
{
    (void)state;
    float *states[2];
    size_t bytes[2];
    for (uint32_t k = 0; k < 2; k++) {
        struct fixture f;
        open_fixture(&f, kl, 1);
        f.spec.step.lanes = k == 0 ? 1 : f.data.micros;
        states[k] = train(&f, &bytes[k]);
        close_fixture(&f);
    }
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(states[0], states[1], bytes[0]);
    free(states[0]);
    free(states[1]);
}

/* The order is part of the result: (a + b) + (c + d) is not ((a + b) + c) + d. Equal within float, not in
 * bytes. */
static void lanes_change_bytes_and_nothing_else(void **state)
{
    (void)state;
    float *states[2];
    size_t bytes[2];
    for (uint32_t k = 0; k < 2; k++) {
        struct fixture f;
        open_fixture(&f, ce, 1);
        f.spec.step.lanes = k + 1;
        f.spec.schedule.steps = 3;
        f.spec.schedule.warmup = 0;
        states[k] = train(&f, &bytes[k]);
        close_fixture(&f);
    }
    assert_memory_not_equal(states[0], states[1], bytes[0]);
    for (size_t i = 0; i < bytes[0] / sizeof(float); i++)
        if (!(fabsf(states[0][i] - states[1][i]) < 1e-3f))
            fail_msg("%zu: %g and %g", i, (double)states[0][i], (double)states[1][i]);
    free(states[0]);
    free(states[1]);
}

static void a_model_learns_nothing_from_itself(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct losses losses = {0};
    open_fixture(&f, kl, 1);
    f.teachers[0] = f.student;
    f.spec.adamw.decay = 0;
    struct trainer *trainer = create(&f);
    size_t bytes;
    float *before = save_states(trainer, &bytes);
    struct trainer_hooks hooks = {.report = note_loss, .payload = &losses};
    assert_ok(trainer_run(trainer, &hooks, &trace), &trace);
    float *after = save_states(trainer, &bytes);
    assert_memory_equal(before, after, bytes);
    for (uint32_t i = 0; i < losses.count; i++)
        assert_true(losses.values[i] == 0);
    free(before);
    free(after);
    trainer_destroy(trainer);
    close_fixture(&f);
}

static void makes_checkpoints_when_they_are_due(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    open_fixture(&f, ce, 1);
    struct stop stop = {0};
    struct trainer_hooks hooks = {.checkpoint = keep_states, .payload = &stop, .checkpoint_steps = 3};
    struct trainer *trainer = create(&f);
    assert_ok(trainer_run(trainer, &hooks, &trace), &trace);
    assert_int_equal(stop.saved_at, 9); /* 3, 6, 9 */
    free(stop.states);
    trainer_destroy(trainer);
    close_fixture(&f);
}

static void stops_at_a_loss_that_is_not_finite(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    open_fixture(&f, ce, 1);
    struct trainer *trainer = create(&f);
    const float infinite = INFINITY;
    assert_ok(trainer_resume(trainer, 2, &trace), &trace);
    assert_ok(trainer_state_write(trainer, 0, 0, 1, &infinite, &trace), &trace);
    for (int64_t i = 0; i < trainer_state(trainer, 0).count; i++)
        assert_ok(trainer_state_write(trainer, 0, i, 1, &infinite, &trace), &trace);
    struct trainer_hooks hooks = {0};
    assert_fails(trainer_run(trainer, &hooks, &trace), NOT_FINITE, &trace, "step 2 of 10");
    trainer_destroy(trainer);
    close_fixture(&f);
}

static void rejects_settings_that_do_not_fit(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct trainer *trainer;
    open_fixture(&f, ce, 1);
    f.spec.batch = 7;
    assert_fails(trainer_create(&trainer, &f.spec, &trace), INVALID, &trace, "multiple of micro times lanes");
    f.spec.batch = 8;
    f.spec.schedule.steps = 0;
    assert_fails(trainer_create(&trainer, &f.spec, &trace), INVALID, &trace, "at least one step");
    f.spec.schedule.steps = 10;
    f.student->tensors.items[3].view.base = NULL;
    assert_fails(trainer_create(&trainer, &f.spec, &trace), INVALID, &trace, "has no content");
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns),
        cmocka_unit_test(resumes_to_the_same_bytes),
        cmocka_unit_test(resumes_small_second_moments),
        cmocka_unit_test(goes_on_after_an_interruption),
        cmocka_unit_test(drops_a_step_that_was_left_in_the_middle),
        cmocka_unit_test(an_interruption_does_not_wait_for_a_micro_batch),
        cmocka_unit_test(threads_do_not_change_bytes),
        cmocka_unit_test(recomputing_does_not_change_bytes),
        cmocka_unit_test(recomputes_where_memory_is_short),
        cmocka_unit_test(flushing_subnormals_does_not_change_bytes),
        cmocka_unit_test(one_micro_batch_a_lane_is_one_lane),
        cmocka_unit_test(lanes_change_bytes_and_nothing_else),
        cmocka_unit_test(a_model_learns_nothing_from_itself),
        cmocka_unit_test(makes_checkpoints_when_they_are_due),
        cmocka_unit_test(stops_at_a_loss_that_is_not_finite),
        cmocka_unit_test(rejects_settings_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
