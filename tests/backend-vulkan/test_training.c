/* Whole training runs, distillation and cross-entropy, with the same bytes on the twin and on Vulkan devices:
 * every state after the last of ten steps, weights and moments. */
#include "backend-cpu/cpu.h"
#include "tests/backend-vulkan/fixture.h"
#include "tests/train/model.h"
#include <inttypes.h>

static const struct objective kl[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
static const struct objective ce[] = {{.kind = OBJECTIVE_ce, .weight = 1}};

/* Wider than the student, and with padding, where states are compared. */
static struct graph *teacher_of(const struct objective *objective)
{
    struct arch arch = model_arch();
    if (objective->kind == OBJECTIVE_jensen_shannon || objective->kind == OBJECTIVE_mse) {
        arch.hidden = 32;
        arch.vocab = 70;
    }
    return model_build(arch, 500);
}

/* Raises the flag once, in the middle of a step that has been begun: the device drops it. */
struct interruption {
    struct model_data *data;
    int times;
    volatile sig_atomic_t raised;
};

static void fill_and_raise(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    struct interruption *i = payload;
    if (step == 4 && micro == 1 && i->times++ == 0)
        i->raised = 1;
    model_fill(i->data, step, micro, out);
}

static void run_interrupted(struct trainer *trainer, struct interruption *interruption)
{
    struct trace trace = {0};
    struct trainer_hooks hooks = {.interrupted = &interruption->raised};
    assert_fails(trainer_run(trainer, &hooks, &trace), INTERRUPTED, &trace, "interrupted after 4");
    interruption->raised = 0;
    assert_ok(trainer_run(trainer, &hooks, &trace), &trace);
}

/* Trains on the executor, a device with an interruption; all states one after the other. */
static float *train(struct executor *executor, const struct objective *objective, size_t *count)
{
    struct trace trace = {0};
    struct trainer *trainer;
    struct model_data data = {.vocab = 67, .micros = 2};
    struct graph *student = model_build(model_arch(), 1), *teacher = teacher_of(objective);
    const struct graph *teachers[] = {teacher};
    struct trainer_spec spec = model_spec(executor, student, objective, 1, &data);
    static const struct state_pair pairs[] = {
        {STATE_KIND_embedding, 0, 0, 1}, {STATE_KIND_block, 0, 1, 1}, {STATE_KIND_keys, 1, 0, 1}};
    bool has_states = objective->kind == OBJECTIVE_jensen_shannon || objective->kind == OBJECTIVE_mse;
    if (has_states) {
        spec.step.routes[0].states =
            (struct state_losses){.pairs = pairs,
                                  .count = 3,
                                  .relation_heads = 2,
                                  .distance = objective->kind == OBJECTIVE_mse ? STATE_MSE : STATE_COSINE,
                                  .scale = STATE_DYNAMIC};
        data.vocab = 60;
        spec.step.routes[0].vocabulary = 60;
        spec.step.recomputes = true;
    }
    if (objective->kind != OBJECTIVE_ce) {
        spec.step.routes[0].teachers = teachers;
        spec.step.routes[0].teacher_count = 1;
    }
    spec.step.routes[0].kept = objective->kind == OBJECTIVE_kept_kl ? 9 : 0;
    struct interruption interruption = {.data = &data};
    bool is_device = strcmp(executor->interface->kind, "vulkan") == 0;
    if (is_device && objective->kind != OBJECTIVE_kept_kl) /* whose source gives more */
        spec.source = (struct trainer_source){.fill = fill_and_raise, .payload = &interruption};
    assert_ok(trainer_create(&trainer, &spec, &trace), &trace);
    if (spec.source.payload == &interruption)
        run_interrupted(trainer, &interruption);
    else
        assert_ok(trainer_run(trainer, &(struct trainer_hooks){0}, &trace), &trace);
    *count = 0;
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++)
        *count += (size_t)trainer_state(trainer, i).count;
    float *states = malloc(*count * sizeof *states), *at = states;
    for (uint32_t i = 0; i < trainer_state_count(trainer); i++) {
        int64_t n = trainer_state(trainer, i).count;
        assert_ok(trainer_state_read(trainer, i, 0, n, at, &trace), &trace);
        at += n;
    }
    trainer_destroy(trainer);
    graph_destroy(student);
    graph_destroy(teacher);
    return states;
}

static void check_run(enum fixture_driver driver, struct vulkan_options options,
                      const struct objective *objective)
{
    struct trace trace = {0};
    struct executor *cpu, *vulkan = fixture_open(driver, options);
    size_t count, expected_count;
    assert_ok(cpu_executor_create(&cpu, (struct cpu_options){.threads = 1}, &trace), &trace);
    float *expected = train(cpu, objective, &expected_count);
    float *got = train(vulkan, objective, &count);
    assert_int_equal(count, expected_count);
    for (size_t i = 0; i < count; i++)
        if (memcmp(&got[i], &expected[i], sizeof *got) != 0)
            fail_msg("state element %zu: %a instead of %a", i, (double)got[i], (double)expected[i]);
    struct executor_counters counters = executor_counters(vulkan);
    assert_true(counters.dispatches > 0);
    assert_true(counters.device_nodes > 0);
    assert_int_equal(counters.host_nodes, 0);
    free(expected);
    free(got);
    executor_destroy(cpu);
    fixture_close(vulkan);
}

static void distillation_gives_the_twins_bytes_on_lavapipe(void **state)
{
    (void)state;
    check_run(FIXTURE_LAVAPIPE, (struct vulkan_options){.finite = VULKAN_FINITE_CHECKED}, kl);
}

static void every_divergence_gives_the_twins_bytes_on_lavapipe(void **state)
{
    (void)state;
    const struct objective objectives[] = {
        {.kind = OBJECTIVE_forward_kl, .weight = 1, .temperature = 2, .top = 7},
        {.kind = OBJECTIVE_reverse_kl, .weight = 1},
        {.kind = OBJECTIVE_jensen_shannon, .weight = 1, .temperature = 0.75f},
        {.kind = OBJECTIVE_mse, .weight = 1},
        {.kind = OBJECTIVE_cosine, .weight = 1},
        {.kind = OBJECTIVE_kept_kl, .weight = 1, .temperature = 2},
    };
    for (size_t i = 0; i < sizeof objectives / sizeof *objectives; i++)
        check_run(FIXTURE_LAVAPIPE, (struct vulkan_options){.finite = VULKAN_FINITE_CHECKED}, &objectives[i]);
}

static void training_gives_the_twins_bytes_on_lavapipe(void **state)
{
    (void)state;
    check_run(FIXTURE_LAVAPIPE, (struct vulkan_options){.variant = "tile_128x64"}, ce);
}

static void training_gives_the_twins_bytes_in_buffers_of_a_mebibyte(void **state)
{
    (void)state;
    check_run(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = 1 << 20}, ce);
}

/* The smallest limit that the self-test fits in; blocks of squares need 16 KiB. */
static void distillation_gives_the_twins_bytes_in_small_buffers(void **state)
{
    (void)state;
    check_run(FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = 60000}, kl);
}

static void distillation_gives_the_twins_bytes_on_swiftshader(void **state)
{
    (void)state;
    check_run(FIXTURE_SWIFTSHADER, (struct vulkan_options){0}, kl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distillation_gives_the_twins_bytes_on_lavapipe),
        cmocka_unit_test(every_divergence_gives_the_twins_bytes_on_lavapipe),
        cmocka_unit_test(training_gives_the_twins_bytes_on_lavapipe),
        cmocka_unit_test(training_gives_the_twins_bytes_in_buffers_of_a_mebibyte),
        cmocka_unit_test(distillation_gives_the_twins_bytes_in_small_buffers),
        cmocka_unit_test(distillation_gives_the_twins_bytes_on_swiftshader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
