/* Trainers that are put together: several teachers by tag, targets that were kept, a teacher corrected
 * beside, phases. Each must come to the bytes of the plain trainers that it is made of. */
#include "backend-cpu/cpu.h"
#include "tests/train/model.h"
#include "train/step_memory.h"
#include <math.h>

static const struct objective kl[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
static const struct objective kept[] = {{.kind = OBJECTIVE_kept_kl, .weight = 1}};
static const struct objective ce[] = {{.kind = OBJECTIVE_ce, .weight = 1}};

struct fixture {
    struct executor *executor;
    struct graph *student, *teachers[2];
    const struct graph *lists[2][1];
    struct model_data data;
    struct trainer_spec spec;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct trace trace = {0};
    struct arch wider = model_arch();
    wider.hidden = 32, wider.head_dim = 8, wider.layers = 3;
    f->data = (struct model_data){.vocab = 67, .micros = 4};
    assert_ok(cpu_executor_create(&f->executor, (struct cpu_options){.threads = 1}, &trace), &trace);
    f->student = model_build(model_arch(), 1);
    f->lists[0][0] = f->teachers[0] = model_build(model_arch(), 500);
    f->lists[1][0] = f->teachers[1] = model_build(wider, 900);
    f->spec = model_spec(f->executor, f->student, kl, 1, &f->data);
    f->spec.schedule = (struct schedule){.kind = SCHEDULE_constant, .steps = 6, .peak = 0.015625f};
    for (int i = 0; i < 2; i++)
        f->spec.step.routes[i] = (struct step_route){
            .teachers = f->lists[i], .teacher_count = 1, .objectives = kl, .objective_count = 1};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    executor_destroy(f->executor);
    graph_destroy(f->student);
    graph_destroy(f->teachers[0]);
    graph_destroy(f->teachers[1]);
    free(f);
    return 0;
}

/* All states of a trainer whose names begin like that, one after the other. */
static float *save_states(struct trainer *trainer, const char *beginning, size_t *count)
{
    struct trace trace = {0};
    *count = 0;
    float *all = NULL;
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        struct trainer_state s = trainer_state(trainer, i);
        bool is_of_teacher = strncmp(s.name.data, "teacher.", 8) == 0;
        if (is_of_teacher != (*beginning != 0))
            continue;
        all = realloc(all, (*count + (size_t)s.count) * sizeof *all);
        assert_ok(trainer_state_read(trainer, i, 0, s.count, all + *count, &trace), &trace);
        *count += (size_t)s.count;
    }
    return all;
}

static void put_states(struct trainer *trainer, const float *at)
{
    struct trace trace = {0};
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        int64_t count = trainer_state(trainer, i).count;
        assert_ok(trainer_state_write(trainer, i, 0, count, at, &trace), &trace);
        at += count;
    }
}

static struct trainer *create(const struct trainer_spec *spec)
{
    struct trace trace = {0};
    struct trainer *trainer;
    assert_ok(trainer_create(&trainer, spec, &trace), &trace);
    return trainer;
}

static void run(struct trainer *trainer, uint32_t stop)
{
    struct trace trace = {0};
    assert_ok(trainer_run(trainer, &(struct trainer_hooks){.stop = stop}, &trace), &trace);
}

static float *train(const struct trainer_spec *spec, size_t *count)
{
    struct trainer *trainer = create(spec);
    run(trainer, 0);
    float *states = save_states(trainer, "", count);
    trainer_destroy(trainer);
    return states;
}

static void fill_tagged(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    model_fill(payload, step, micro, out);
    for (uint32_t row = 0; row < out->rows; row++)
        out->tags[row] = micro % 2;
}

static void fill_first(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    fill_tagged(payload, step, micro, out);
    memset(out->tags, 0, out->rows * sizeof *out->tags);
}

static void fill_second(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    fill_first(payload, step, micro, out);
    for (uint32_t row = 0; row < out->rows; row++)
        out->tags[row] = 1;
}

static void a_route_is_a_trainer_with_its_teacher(void **state)
{
    struct fixture *f = *state;
    struct trainer_spec two = f->spec, one = f->spec;
    two.step.route_count = 2;
    for (int route = 0; route < 2; route++) {
        size_t count, expected_count;
        two.source.fill = route == 0 ? fill_first : fill_second;
        one.step.routes[0] = f->spec.step.routes[route];
        float *states = train(&two, &count), *expected = train(&one, &expected_count);
        assert_int_equal(count, expected_count);
        assert_memory_equal(states, expected, count * sizeof *states);
        free(states);
        free(expected);
    }
}

/* Micro-batches of the other tag count nothing. */
static void fill_with_weights(void *payload, uint64_t step, uint32_t micro, struct batch *out, uint32_t tag)
{
    fill_tagged(payload, step, micro, out);
    for (uint32_t i = 0; i < out->rows * out->length && out->tags[0] != tag; i++)
        out->weights[i] = 0;
    memset(out->tags, 0, out->rows * sizeof *out->tags);
}

static void fill_even(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    fill_with_weights(payload, step, micro, out, 0);
}

static void fill_odd(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    fill_with_weights(payload, step, micro, out, 1);
}

/* The first moments after one step are the gradient times a constant where nothing is clipped. Both halves
 * have the same weight, so the whole is their mean. */
static void check_mean(struct fixture *f, const struct step_route routes[2])
{
    float *states[3];
    size_t count;
    struct trainer_spec spec = f->spec;
    spec.adamw.max_norm = 0;
    spec.schedule.steps = 1;
    memcpy(spec.step.routes, routes, 2 * sizeof *routes);
    for (int i = 0; i < 3; i++) {
        struct trainer_spec one = spec;
        one.step.route_count = i == 2 ? 2 : 1;
        one.step.routes[0] = routes[i == 1];
        one.source.fill = i == 0 ? fill_even : i == 1 ? fill_odd : fill_tagged;
        states[i] = train(&one, &count);
    }
    struct trainer *names = create(&spec);
    double error = 0, size = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < trainer_state_count(names); i++) {
        struct trainer_state s = trainer_state(names, i);
        for (int64_t k = 0; k < s.count; k++, at++)
            if (s.kind == STATE_FIRST) {
                double mean = ((double)states[0][at] + (double)states[1][at]) / 2;
                error = fmax(error, fabs((double)states[2][at] - mean));
                size = fmax(size, fabs(mean));
            }
    }
    assert_int_equal(at, count);
    assert_true(size > 1e-4);
    if (!(error < 1e-5 * size))
        fail_msg("the gradients of two routes differ from their sum by %g of %g", error, size);
    trainer_destroy(names);
    for (int i = 0; i < 3; i++)
        free(states[i]);
}

static void gradients_of_routes_add_up(void **state)
{
    struct fixture *f = *state;
    check_mean(f, f->spec.step.routes);
    const struct step_route mixed[] = {f->spec.step.routes[1],
                                       {.objectives = kept, .objective_count = 1, .kept = 9}};
    check_mean(f, mixed);
}

/* ---- states of several teachers ---- */

static const struct state_pair pairs_of_same[] = {{STATE_KIND_block, 0, 1, 0.5f},
                                                  {STATE_KIND_embedding, 0, 0, 0.25f}};
static const struct state_pair pairs_of_wider[] = {{STATE_KIND_block, 0, 2, 0.5f},
                                                   {STATE_KIND_embedding, 0, 0, 0.25f}};

static void add_states(struct trainer_spec *spec, enum state_scale scale)
{
    for (int route = 0; route < 2; route++)
        spec->step.routes[route].states =
            (struct state_losses){.pairs = route == 0 ? pairs_of_same : pairs_of_wider,
                                  .count = 2,
                                  .distance = STATE_MSE,
                                  .scale = scale,
                                  .seed = 5};
}

static bool is_of_matrix(struct str name)
{
    return strstr(name.data, ".projection") != NULL;
}

/* Fresh numbers of the matrix that states are multiplied by depend on the place of the route. */
static void put_matrix(struct trainer *trainer)
{
    struct trace trace = {0};
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        struct trainer_state s = trainer_state(trainer, i);
        for (int64_t k = 0; k < s.count && s.kind == STATE_WEIGHT && is_of_matrix(s.name); k++) {
            float x = model_number(77, (uint32_t)k) / 4;
            assert_ok(trainer_state_write(trainer, i, k, 1, &x, &trace), &trace);
        }
    }
}

static void assert_same_states(struct trainer *one, struct trainer *two, bool has_matrix)
{
    struct trace trace = {0};
    uint32_t matrices = 0;
    for (uint32_t i = 0, j = 0; i < trainer_state_count(two); i++) {
        struct trainer_state s = trainer_state(two, i);
        matrices += is_of_matrix(s.name);
        if (is_of_matrix(s.name) && !has_matrix)
            continue;
        struct trainer_state other = trainer_state(one, j);
        assert_int_equal(s.count, other.count);
        float *a = calloc((size_t)s.count, sizeof *a), *b = calloc((size_t)s.count, sizeof *b);
        assert_ok(trainer_state_read(two, i, 0, s.count, a, &trace), &trace);
        assert_ok(trainer_state_read(one, j++, 0, s.count, b, &trace), &trace);
        if (memcmp(a, b, (size_t)s.count * sizeof *a) != 0)
            fail_msg("%s is not %s", s.name.data, other.name.data);
        free(a);
        free(b);
    }
    assert_int_equal(matrices, 3); /* one weight with its moments, of the wider teacher */
}

/* A student that only sees samples of one tag learns as if there were no other teacher. */
static void states_of_a_route_are_those_of_its_teacher(void **state)
{
    struct fixture *f = *state;
    for (int scale = STATE_FIXED; scale <= STATE_DYNAMIC; scale++)
        for (int route = 0; route < 2; route++) {
            struct trainer_spec two = f->spec, one;
            add_states(&two, (enum state_scale)scale);
            two.step.route_count = 2;
            one = two;
            one.step.route_count = 1;
            one.step.routes[0] = two.step.routes[route];
            two.source.fill = route == 0 ? fill_first : fill_second;
            struct trainer *alone = create(&one), *both = create(&two);
            put_matrix(alone);
            put_matrix(both);
            run(alone, 0);
            run(both, 0);
            assert_same_states(alone, both, route == 1);
            trainer_destroy(alone);
            trainer_destroy(both);
        }
}

static void teachers_of_a_route_have_matrices_of_their_own(void **state)
{
    struct fixture *f = *state;
    struct trainer_spec spec = f->spec;
    add_states(&spec, STATE_DYNAMIC);
    spec.step.routes[0] = spec.step.routes[1];
    spec.step.route_count = 3;
    spec.step.routes[2] = spec.step.routes[1];
    struct arch third = model_arch();
    third.hidden = 40;
    const struct graph *other = model_build(third, 40), *list[] = {other};
    spec.step.routes[2].teachers = list;
    spec.step.routes[2].states.pairs = pairs_of_same;
    struct trainer *trainer = create(&spec);
    const struct step *step = trainer_step(trainer);
    uint32_t last = step->parameters.count - 1;
    assert_int_equal(step->projection_of[0], last - 1);
    assert_int_equal(step->projection_of[1], last - 1); /* the same teacher */
    assert_int_equal(step->projection_of[2], last);
    assert_int_equal(step->parameters.items[last - 1].count, 32 * 24);
    assert_int_equal(step->parameters.items[last].count, 40 * 24);
    assert_string_equal(step->parameters.items[last - 1].name.data, "projection");
    assert_string_equal(step->parameters.items[last].name.data, "projection.2");
    float numbers[2];
    struct trace trace = {0};
    for (uint32_t i = 0; i < 2; i++)
        assert_ok(trainer_state_read(trainer, 3 * (last - i), 0, 1, &numbers[i], &trace), &trace);
    assert_true(numbers[0] != numbers[1]);
    trainer_destroy(trainer);
    spec.step.routes[2].states.count = 1;
    assert_fails(trainer_create(&trainer, &spec, &trace), INVALID, &trace, "the same losses of states");
    graph_destroy((struct graph *)(uintptr_t)other);
}

/* A place has one name and one weight in the logs: that of the first route. */
static void routes_have_the_same_losses_at_each_place(void **state)
{
    struct fixture *f = *state;
    static const struct state_pair others[][2] = {
        {{STATE_KIND_keys, 0, 2, 0.5f}, {STATE_KIND_embedding, 0, 0, 0.25f}},
        {{STATE_KIND_block, 1, 2, 0.5f}, {STATE_KIND_embedding, 0, 0, 0.25f}}};
    static const struct objective objectives[] = {
        {.kind = OBJECTIVE_forward_kl, .weight = 2},
        {.kind = OBJECTIVE_forward_kl, .weight = 1, .temperature = 2},
        {.kind = OBJECTIVE_reverse_kl, .weight = 1}};
    for (size_t i = 0; i < 6; i++) {
        struct trace trace = {0};
        struct trainer *trainer;
        struct trainer_spec spec = f->spec;
        add_states(&spec, STATE_FIXED);
        spec.step.route_count = 2;
        struct step_route *second = &spec.step.routes[1];
        if (i < 2)
            second->states.pairs = others[i];
        else if (i == 2)
            second->states.distance = STATE_COSINE;
        else
            second->objectives = &objectives[i - 3];
        assert_fails(trainer_create(&trainer, &spec, &trace), INVALID, &trace,
                     i < 3 ? "the same losses of states" : "the same objectives");
    }
}

/* Two tags with one teacher are that teacher. */
static void a_teacher_of_two_tags_is_one(void **state)
{
    struct fixture *f = *state;
    struct trainer_spec two = f->spec, one;
    add_states(&two, STATE_DYNAMIC);
    two.step.routes[0] = two.step.routes[1];
    one = two;
    two.step.route_count = 2;
    two.source.fill = fill_tagged;
    struct trainer *alone = create(&one), *both = create(&two);
    run(alone, 0);
    run(both, 0);
    assert_same_states(alone, both, true);
    trainer_destroy(alone);
    trainer_destroy(both);
}

/* ---- memory ---- */

static struct trainer_spec correction_of(const struct fixture *f)
{
    struct trainer_spec spec = f->spec;
    spec.step.student = f->teachers[0];
    spec.step.routes[0] = (struct step_route){.objectives = ce, .objective_count = 1};
    spec.schedule.peak = 0.00390625f;
    return spec;
}

static int64_t bytes_of(const struct step_spec *spec, enum step_teachers teachers)
{
    struct trace trace = {0};
    struct step step;
    int64_t bytes;
    assert_ok(step_build(&step, spec, &trace), &trace);
    assert_ok(step_memory(&bytes, &step, teachers, &trace), &trace);
    step_release(&step);
    return bytes;
}

/* Of weights that a node reads: all of this model's. */
static int64_t weight_bytes(const struct graph *model)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < model->tensors.count; i++)
        bytes += 4 * tensor_view_count(&model->tensors.items[i].view);
    return bytes;
}

static void memory_of_a_shared_teacher_counts_once(void **state)
{
    struct fixture *f = *state;
    struct graph *copy = model_build(model_arch(), 600);
    const struct graph *list[] = {copy};
    struct step_spec shared = f->spec.step, apart;
    shared.route_count = 2;
    shared.routes[1] = shared.routes[0];
    apart = shared;
    apart.routes[1].teachers = list;
    assert_int_equal(bytes_of(&apart, STEP_TEACHERS_OWN) - bytes_of(&shared, STEP_TEACHERS_OWN),
                     weight_bytes(copy));
    graph_destroy(copy);
}

/* Student's and teacher's steps are held at once; the teacher's weights, which both use, are there once. */
static void memory_of_a_teacher_beside_counts_with_its_student(void **state)
{
    struct fixture *f = *state;
    struct trace trace = {0};
    struct trainer_spec spec = f->spec, correction = correction_of(f);
    int64_t student = bytes_of(&spec.step, STEP_TEACHERS_OWN),
            teacher = bytes_of(&correction.step, STEP_TEACHERS_OWN);
    int64_t lent = bytes_of(&spec.step, STEP_FIRST_TEACHER_LENT);
    assert_int_equal(student - lent, weight_bytes(f->teachers[0]));
    assert_ok(trainer_fit(&spec, &correction, lent + teacher, &trace), &trace);
    assert_false(spec.step.recomputes || correction.step.recomputes);
    assert_ok(trainer_fit(&spec, &correction, lent + teacher - 1, &trace), &trace);
    assert_true(spec.step.recomputes && correction.step.recomputes);
}

/* What a teacher's trainer has made of its weights, into the teacher. */
static void take_weights(struct graph *teacher, struct trainer *trainer)
{
    struct trace trace = {0};
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        struct trainer_state s = trainer_state(trainer, i);
        if (s.kind != STATE_WEIGHT)
            continue;
        uint32_t tensor = trainer_step(trainer)->parameters.items[s.parameter].tensor;
        float *data = ARENA_ARRAY(&teacher->arena, float, (size_t)s.count);
        assert_ok(trainer_state_read(trainer, i, 0, s.count, data, &trace), &trace);
        teacher->tensors.items[tensor].view.base = (const uint8_t *)data;
    }
}

/* Step by step: the student learns from the teacher as it is, then the teacher takes its step. */
static void a_teacher_beside_is_a_trainer_of_its_own(void **state)
{
    struct fixture *f = *state;
    enum { STEPS = 4 };
    struct trace trace = {0};
    struct trainer_spec of_teacher = correction_of(f), spec = f->spec;
    of_teacher.schedule.steps = spec.schedule.steps = STEPS;
    struct trainer *alone = create(&of_teacher), *beside = create(&of_teacher);
    spec.correction = beside;
    struct trainer *both = create(&spec);
    run(both, 0);
    size_t count, other;
    spec.correction = NULL;
    float *states = NULL;
    for (uint32_t step = 0; step < STEPS; step++) {
        struct trainer *one = create(&spec);
        if (step > 0) {
            put_states(one, states);
            assert_ok(trainer_resume(one, step, &trace), &trace);
        }
        run(one, step + 1);
        free(states);
        states = save_states(one, "", &count);
        trainer_destroy(one);
        run(alone, step + 1);
        take_weights(f->teachers[0], alone);
    }
    float *got = save_states(both, "", &other);
    assert_int_equal(count, other);
    assert_memory_equal(got, states, count * sizeof *got);
    float *teacher = save_states(both, "teacher.", &count), *expected = save_states(alone, "", &other);
    assert_int_equal(count, other);
    assert_memory_equal(teacher, expected, count * sizeof *teacher);
    free(got);
    free(states);
    free(teacher);
    free(expected);
    trainer_destroy(both);
    trainer_destroy(beside);
    trainer_destroy(alone);
}

static void a_teacher_beside_resumes_with_its_student(void **state)
{
    struct fixture *f = *state;
    struct trace trace = {0};
    struct trainer_spec of_teacher = correction_of(f), spec = f->spec;
    float *ends[2], *middle = NULL;
    size_t count, of_first, rest;
    for (int i = 0; i < 2; i++) {
        struct trainer *beside = create(&of_teacher);
        spec.correction = beside;
        struct trainer *trainer = create(&spec);
        if (i == 1) {
            put_states(trainer, middle);
            assert_ok(trainer_resume(trainer, 2, &trace), &trace);
            assert_int_equal(trainer_position(beside), 2);
        }
        run(trainer, 2);
        if (i == 0) {
            middle = save_states(trainer, "", &of_first);
            float *more = save_states(trainer, "teacher.", &rest);
            middle = realloc(middle, (of_first + rest) * sizeof *middle);
            memcpy(middle + of_first, more, rest * sizeof *more);
            free(more);
        }
        run(trainer, 0);
        ends[i] = save_states(trainer, "", &count);
        trainer_destroy(trainer);
        trainer_destroy(beside);
    }
    assert_memory_equal(ends[0], ends[1], count * sizeof *ends[0]);
    free(ends[0]);
    free(ends[1]);
    free(middle);
}

static void fill_later(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    model_fill(payload, step + 2, micro, out);
}

/* At a constant rate, two trainers that share the steps are one. */
static void phases_are_one_run(void **state)
{
    struct fixture *f = *state;
    struct trace trace = {0};
    size_t count;
    struct trainer_spec spec = f->spec;
    float *whole = train(&spec, &count);
    spec.schedule.steps = 2;
    float *first = train(&spec, &count);
    spec.schedule.steps = 4;
    spec.first = 2;
    spec.source.fill = fill_later;
    struct trainer *trainer = create(&spec);
    assert_fails(trainer_resume(trainer, 1, &trace), INVALID, &trace, "goes from 2 to 6");
    trace = (struct trace){0};
    assert_fails(trainer_resume(trainer, 7, &trace), INVALID, &trace, "goes from 2 to 6");
    trace = (struct trace){0};
    put_states(trainer, first);
    assert_ok(trainer_resume(trainer, 2, &trace), &trace);
    run(trainer, 0);
    assert_int_equal(trainer_position(trainer), 6);
    float *states = save_states(trainer, "", &count);
    assert_memory_equal(states, whole, count * sizeof *states);
    trainer_destroy(trainer);
    free(states);
    free(first);
    free(whole);
}

/* Between the last step of a phase and the next phase lies a checkpoint; after the last step of all none. */
static enum status count_checkpoint(void *payload, struct trainer *trainer, struct trace *trace)
{
    (void)trainer;
    (void)trace;
    ++*(uint32_t *)payload;
    return OK;
}

static void a_phase_ends_with_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    for (uint32_t end = TRAINER_ENDS; end <= TRAINER_GOES_ON; end++) {
        struct trace trace = {0};
        uint32_t count = 0;
        struct trainer *trainer = create(&f->spec);
        struct trainer_hooks hooks = {
            .checkpoint = count_checkpoint, .payload = &count, .end = (enum trainer_end)end};
        assert_ok(trainer_run(trainer, &hooks, &trace), &trace);
        assert_int_equal(count, end == TRAINER_GOES_ON);
        trainer_destroy(trainer);
    }
}

int main(void)
{
#define ROUTE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROUTE_TEST(a_route_is_a_trainer_with_its_teacher),
        ROUTE_TEST(gradients_of_routes_add_up),
        ROUTE_TEST(states_of_a_route_are_those_of_its_teacher),
        ROUTE_TEST(teachers_of_a_route_have_matrices_of_their_own),
        ROUTE_TEST(routes_have_the_same_losses_at_each_place),
        ROUTE_TEST(a_teacher_of_two_tags_is_one),
        ROUTE_TEST(memory_of_a_shared_teacher_counts_once),
        ROUTE_TEST(memory_of_a_teacher_beside_counts_with_its_student),
        ROUTE_TEST(a_teacher_beside_is_a_trainer_of_its_own),
        ROUTE_TEST(a_teacher_beside_resumes_with_its_student),
        ROUTE_TEST(phases_are_one_run),
        ROUTE_TEST(a_phase_ends_with_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
