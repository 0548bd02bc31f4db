/* Training under device numerics whose products round to half precision: close to golden, the same bytes
 * twice and after resuming, with a loss that is scaled as far as it does not overflow. */
#include "backend-cpu/cpu.h"
#include "tests/backend-vulkan/fixture.h"
#include "tests/train/model.h"
#include <math.h>

enum { STEPS = 10 };

static const struct objective kl[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};

struct run {
    struct trainer *trainer;
    struct graph *student, *teacher;
    struct model_data data;
    float losses[STEPS];
    uint32_t scales[STEPS];
};

static enum status note(void *payload, const struct trainer_report *report, struct trace *trace)
{
    (void)trace;
    struct run *run = payload;
    run->losses[report->step] = report->loss;
    run->scales[report->step] = report->loss_scale;
    return OK;
}

enum with { WITHOUT_STATES, WITH_STATES };

static void open_run_with(struct run *run, struct executor *executor, struct loss_scale_options scale,
                          enum with with)
{
    struct trace trace = {0};
    static const struct state_pair pairs[] = {
        {STATE_KIND_embedding, 0, 0, 1}, {STATE_KIND_block, 0, 1, 1},    {STATE_KIND_mlp_input, 0, 1, 1},
        {STATE_KIND_mlp, 1, 0, 1},       {STATE_KIND_queries, 0, 1, 1},  {STATE_KIND_keys, 1, 1, 1},
        {STATE_KIND_values, 1, 0, 1},    {STATE_KIND_attention, 0, 0, 1}};
    *run = (struct run){.student = model_build(model_arch(), 1),
                        .teacher = model_build(model_arch(), 500),
                        .data = {.vocab = 67, .micros = 2}};
    const struct graph *teachers[] = {run->teacher};
    struct trainer_spec spec = model_spec(executor, run->student, kl, 1, &run->data);
    spec.step.routes[0].teachers = teachers;
    spec.step.routes[0].teacher_count = 1;
    spec.loss_scale = scale;
    if (with == WITH_STATES)
        spec.step.routes[0].states = (struct state_losses){.pairs = pairs,
                                                           .count = sizeof pairs / sizeof *pairs,
                                                           .relation_heads = 2,
                                                           .distance = STATE_MSE,
                                                           .scale = STATE_DYNAMIC};
    assert_ok(trainer_create(&run->trainer, &spec, &trace), &trace);
}

static void open_run(struct run *run, struct executor *executor, struct loss_scale_options scale)
{
    open_run_with(run, executor, scale, WITHOUT_STATES);
}

static void go(struct run *run, uint32_t stop)
{
    struct trace trace = {0};
    struct trainer_hooks hooks = {.report = note, .payload = run, .stop = stop};
    assert_ok(trainer_run(run->trainer, &hooks, &trace), &trace);
}

static float *read_states(struct run *run, size_t *count)
{
    struct trace trace = {0};
    *count = 0;
    for (uint32_t i = 0; i < trainer_state_count(run->trainer); i++)
        *count += (size_t)trainer_state(run->trainer, i).count;
    float *states = malloc(*count * sizeof *states), *at = states;
    for (uint32_t i = 0; i < trainer_state_count(run->trainer); i++) {
        int64_t n = trainer_state(run->trainer, i).count;
        assert_ok(trainer_state_read(run->trainer, i, 0, n, at, &trace), &trace);
        at += n;
    }
    return states;
}

static void close_run(struct run *run)
{
    trainer_destroy(run->trainer);
    graph_destroy(run->student);
    graph_destroy(run->teacher);
}

/* Skips where the driver lacks the matrices. */
static struct executor *open_half(const char *arithmetic)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    struct vulkan_options options = {
        .numerics = NUMERICS_DEVICE, .arithmetic = arithmetic, .finite = VULKAN_FINITE_CHECKED};
    fixture_choose_driver(FIXTURE_LAVAPIPE);
    if (vulkan_executor_create(&executor, &options, &trace) != OK) {
        assert_non_null(strstr(trace.text, "no matrices for the arithmetic"));
        print_message("no matrices of half precision\n");
        skip();
    }
    executor_destroy(executor);
    executor = fixture_open(FIXTURE_LAVAPIPE, options);
    assert_int_equal(executor->operands, OPERANDS_F16);
    return executor;
}

/* How far apart, as a share of how far the weights of `b` have come from the first. */
static double distance(const float *a, const float *b, const float *first, size_t count)
{
    double apart = 0, come = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i], c = (double)b[i] - (double)first[i];
        apart += d * d;
        come += c * c;
    }
    return sqrt(apart / come);
}

static void check_close_to_golden(const char *arithmetic)
{
    struct trace trace = {0};
    struct executor *cpu, *half = open_half(arithmetic);
    struct run golden, run, again;
    size_t count;
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    open_run(&golden, cpu, (struct loss_scale_options){0});
    float *first = read_states(&golden, &count);
    go(&golden, 0);
    assert_int_equal(trainer_scale_count(golden.trainer), 0); /* golden losses are not scaled */
    assert_int_equal(golden.scales[0], 1);
    float *expected = read_states(&golden, &count);
    open_run(&run, half, (struct loss_scale_options){0});
    go(&run, 0);
    float *got = read_states(&run, &count);
    open_run(&again, half, (struct loss_scale_options){0});
    go(&again, 0);
    float *twice = read_states(&again, &count);
    assert_memory_equal(got, twice, count * sizeof *got);
    assert_memory_not_equal(got, expected, count * sizeof *got);
    for (int i = 0; i < STEPS; i++)
        if (!(fabs((double)run.losses[i] - (double)golden.losses[i]) <= 2e-3 * (double)golden.losses[i]))
            fail_msg("step %d: loss %g, golden %g", i, (double)run.losses[i], (double)golden.losses[i]);
    double apart = distance(got, expected, first, count);
    print_message("apart by %.3g of the way\n", apart);
    assert_true(apart < 0.05);
    free(first);
    free(expected);
    free(got);
    free(twice);
    close_run(&golden);
    close_run(&run);
    close_run(&again);
    executor_destroy(cpu);
    fixture_close(half);
}

/* With operands that lose nothing, as the twin's, a scale changes nothing but what is flushed below 2^-51:
 * neither the losses that are told nor the weights, also where losses of states are scaled like the
 * divergence. */
static void a_scale_alone_changes_next_to_nothing(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *cpu;
    struct run plain, scaled;
    size_t count;
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    open_run_with(&plain, cpu, (struct loss_scale_options){0}, WITH_STATES);
    float *first = read_states(&plain, &count);
    go(&plain, 0);
    float *expected = read_states(&plain, &count);
    cpu->operands = OPERANDS_F16;
    open_run_with(&scaled, cpu, (struct loss_scale_options){0}, WITH_STATES);
    go(&scaled, 0);
    assert_int_equal(scaled.scales[0], LOSS_SCALE_FIRST);
    float *got = read_states(&scaled, &count);
    for (int i = 0; i < STEPS; i++)
        assert_true(fabs((double)scaled.losses[i] - (double)plain.losses[i]) <=
                    1e-6 * (double)plain.losses[i]);
    assert_true(distance(got, expected, first, count) < 1e-5);
    free(first);
    free(expected);
    free(got);
    close_run(&plain);
    close_run(&scaled);
    executor_destroy(cpu);
}

static void training_with_packed_halves_is_close_to_golden(void **state)
{
    (void)state;
    check_close_to_golden("packed_f16");
}

static void training_with_matrices_is_close_to_golden(void **state)
{
    (void)state;
    check_close_to_golden("matrix_f16");
}

/* The largest scale overflows; what remains after halving trains as the usual one does. */
static void a_scale_that_overflows_is_halved(void **state)
{
    (void)state;
    struct executor *half = open_half("packed_f16");
    struct run usual, large;
    open_run(&usual, half, (struct loss_scale_options){0});
    go(&usual, 0);
    open_run(&large, half, (struct loss_scale_options){.first = LOSS_SCALE_MOST});
    go(&large, 0);
    assert_int_equal(trainer_scale_count(large.trainer), 1);
    const struct loss_scale *scale = trainer_scale(large.trainer, 0);
    print_message("a factor of %u after %u repetitions\n", scale->factor, scale->again);
    assert_true(scale->again > 0 && scale->factor < LOSS_SCALE_MOST);
    assert_int_equal(scale->factor << scale->again, LOSS_SCALE_MOST);
    assert_int_equal(trainer_position(large.trainer), STEPS);
    for (int i = 0; i < STEPS; i++)
        assert_true(fabs((double)large.losses[i] - (double)usual.losses[i]) <=
                    1e-4 * (double)usual.losses[i]);
    close_run(&usual);
    close_run(&large);
    fixture_close(half);
}

static void the_scale_doubles_after_steps_without_overflow(void **state)
{
    (void)state;
    struct executor *half = open_half("packed_f16");
    struct run run;
    open_run(&run, half, (struct loss_scale_options){.first = 4, .steps = 3});
    go(&run, 0);
    const uint32_t expected[STEPS] = {4, 4, 4, 8, 8, 8, 16, 16, 16, 32};
    assert_memory_equal(run.scales, expected, sizeof expected);
    close_run(&run);
    fixture_close(half);
}

/* A scale that was saved and put back with the states: the same bytes as without the interruption. */
static void resuming_with_the_scale_gives_the_same_bytes(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *half = open_half("packed_f16");
    struct loss_scale_options options = {.first = LOSS_SCALE_MOST, .steps = 3};
    struct run whole, before, after;
    size_t count;
    open_run(&whole, half, options);
    go(&whole, 0);
    float *expected = read_states(&whole, &count);
    open_run(&before, half, options);
    go(&before, 4);
    uint32_t words[LOSS_SCALE_WORDS];
    loss_scale_save(trainer_scale(before.trainer, 0), words);
    float *saved = read_states(&before, &count), *at = saved;
    open_run(&after, half, options);
    for (uint32_t i = 0; i < trainer_state_count(after.trainer); i++) {
        int64_t n = trainer_state(after.trainer, i).count;
        assert_ok(trainer_state_write(after.trainer, i, 0, n, at, &trace), &trace);
        at += n;
    }
    assert_true(loss_scale_restore(trainer_scale(after.trainer, 0), words));
    assert_ok(trainer_resume(after.trainer, 4, &trace), &trace);
    go(&after, 0);
    float *got = read_states(&after, &count);
    assert_memory_equal(got, expected, count * sizeof *got);
    assert_memory_equal(after.scales + 4, whole.scales + 4, (STEPS - 4) * sizeof *after.scales);
    uint32_t ends[2][LOSS_SCALE_WORDS];
    loss_scale_save(trainer_scale(whole.trainer, 0), ends[0]);
    loss_scale_save(trainer_scale(after.trainer, 0), ends[1]);
    assert_memory_equal(ends[0], ends[1], sizeof ends[0]);
    const uint32_t wrong[][LOSS_SCALE_WORDS] = {{0, 0, 0}, {3, 0, 0}, {1u << 25, 0, 0}, {4, 3, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(loss_scale_restore(trainer_scale(after.trainer, 0), wrong[i]));
    free(expected);
    free(saved);
    free(got);
    close_run(&whole);
    close_run(&before);
    close_run(&after);
    fixture_close(half);
}

/* What overflows on the way forward does so with any scale: the op is named, and no weight has changed. */
static void an_overflow_of_the_model_itself_is_told(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct executor *half = open_half("packed_f16");
    struct run run;
    uint32_t index = 0;
    open_run(&run, half, (struct loss_scale_options){0});
    struct trainer_state state_of = trainer_state(run.trainer, 0);
    while (state_of.kind != STATE_WEIGHT || state_of.count != 24 * 40) /* a matrix of an MLP */
        state_of = trainer_state(run.trainer, ++index);
    float large = 1e6f, kept;
    assert_ok(trainer_state_write(run.trainer, index, 0, 1, &large, &trace), &trace);
    struct trainer_hooks hooks = {.report = note, .payload = &run};
    assert_fails(trainer_run(run.trainer, &hooks, &trace), NOT_FINITE, &trace,
                 "non-finite value in result of %");
    assert_int_equal(trainer_scale(run.trainer, 0)->factor, 1);
    assert_int_equal(trainer_position(run.trainer), 0);
    assert_ok(trainer_state_read(run.trainer, index, 0, 1, &kept, &trace), &trace);
    assert_true(kept == large);
    close_run(&run);
    fixture_close(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scale_alone_changes_next_to_nothing),
        cmocka_unit_test(training_with_packed_halves_is_close_to_golden),
        cmocka_unit_test(training_with_matrices_is_close_to_golden),
        cmocka_unit_test(a_scale_that_overflows_is_halved),
        cmocka_unit_test(the_scale_doubles_after_steps_without_overflow),
        cmocka_unit_test(resuming_with_the_scale_gives_the_same_bytes),
        cmocka_unit_test(an_overflow_of_the_model_itself_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
